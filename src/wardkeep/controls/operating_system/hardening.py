"""Settings of the kernel that make a flaw harder to use, each with its reason, and what becomes of crashed programs' memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wardkeep.controls.operating_system.row import Policy, control
from wardkeep.core.changes import Blocked, Change, Setting
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.sysctls import Sysctls

# Read after every file of the distribution (`50-`, `99-sysctl.conf`), so that our value stands.
DROP_IN = "/etc/sysctl.d/zz-wardkeep.conf"
ACTIVATE = "/usr/lib/systemd/systemd-sysctl"
PLAN = "Run `wardkeep plan` for this host to see the change."


@dataclass(frozen=True, slots=True)
class Wanted:
    """The values that serve, the best first, and why. `off_with` names a part of the kernel without which it is not needed."""

    values: tuple[str, ...]
    why: str
    off_with: str = ""


WANTED: Mapping[str, Wanted] = {
    "fs.protected_fifos": Wanted(("2", "1"), "nobody is led to write into a pipe planted in /tmp"),
    "fs.protected_hardlinks": Wanted(("1",), "nobody links to a file that they may not write"),
    "fs.protected_regular": Wanted(("2", "1"), "nobody is led to write into a file planted in /tmp"),
    "fs.protected_symlinks": Wanted(("1",), "nobody is led through a link planted in /tmp"),
    "fs.suid_dumpable": Wanted(("0",), "programs with raised rights leave no copy of their memory"),
    "kernel.dmesg_restrict": Wanted(("1",), "the kernel's messages, with its addresses, are for root"),
    "kernel.kptr_restrict": Wanted(("1", "2"), "the kernel's addresses are hidden, which exploits need"),
    "kernel.randomize_va_space": Wanted(("2",), "programs lie at addresses that cannot be foreseen"),
    "kernel.unprivileged_bpf_disabled": Wanted(("1", "2"), "only root loads programs into the kernel"),
    "kernel.yama.ptrace_scope": Wanted(("1", "2", "3"), "a program cannot read another one's memory"),
    "net.core.bpf_jit_harden": Wanted(("2", "1"), "code for the kernel cannot be sprayed by way of BPF"),
    "net.ipv4.conf.all.accept_redirects": Wanted(("0",), "a neighbour cannot turn traffic to itself"),
    "net.ipv4.conf.all.accept_source_route": Wanted(
        ("0",), "a sender cannot choose the way around the filter"
    ),
    "net.ipv4.icmp_echo_ignore_broadcasts": Wanted(("1",), "the host does not answer to floods by broadcast"),
    "net.ipv4.tcp_syncookies": Wanted(("1", "2"), "half-open connections cannot fill the host up"),
    "net.ipv6.conf.all.accept_redirects": Wanted(("0",), "a neighbour cannot turn traffic to itself", "IPv6"),
    "net.ipv6.conf.all.accept_source_route": Wanted(("0",), "a sender cannot choose the way", "IPv6"),
}


@control.rule(
    says="The kernel's hardening settings are in force.",
    severity=Severity.LOW,
    serves={"164.308(a)(1)(ii)(B)": "A flaw that is harder to use is a smaller risk until it is mended."},
)
def kernel_is_hardened(sysctls: Sysctls, policy: Policy) -> Iterator[Seen]:
    for key, wanted in WANTED.items():
        subject, values = f"sysctl:{key}", _values(key, wanted, policy)
        if values == ("any",):
            yield passes(subject, "left out by policy")
        elif key in sysctls.values:
            said = f"{key} = {sysctls.values[key]}"
            if sysctls.values[key] in values:
                yield passes(subject, f"{said}, so that {wanted.why}")
            else:
                yield fails(subject, f"{said}; wanted {' or '.join(values)}, so that {wanted.why}", PLAN)
        elif key in sysctls.absent and wanted.off_with:
            yield passes(subject, f"this kernel runs without {wanted.off_with}")
        elif key in sysctls.absent:
            yield unsure(subject, f"this kernel shows no {key}, by which {wanted.why}")
        else:
            yield unsure(subject, f"{key} is there and could not be read", "Look as root.")


def _values(key: str, wanted: Wanted, policy: Policy) -> tuple[str, ...]:
    own = policy.kernel_settings.get(key)
    return (own,) if own is not None else wanted.values


@kernel_is_hardened.mend
def harden_kernel(sysctls: Sysctls, failing: list[Seen], policy: Policy) -> Iterator[Change]:
    for seen in failing:
        key = seen.subject.removeprefix("sysctl:")
        line = f"{key} = {_values(key, WANTED[key], policy)[0]}"
        yield _set(sysctls, key, line, kernel_is_hardened.id, seen.subject)


def _set(sysctls: Sysctls, key: str, line: str, rule: str, subject: str) -> Change:
    if sysctls.container:
        reason = f"the kernel belongs to the machine that runs this {sysctls.container} container"
        return Blocked(f"Set {line}", reason, "Set it on that machine.", rule, subject)
    return Setting(DROP_IN, key, line, rule, subject, activate=ACTIVATE)


@control.rule(
    says="A program that crashes leaves no copy of its memory.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(1)(ii)(B)": "A core dump holds whatever health data and keys the program held, in the clear.",
    },
)
def no_core_dumps(sysctls: Sysctls) -> Iterator[Seen]:
    pattern, limit = sysctls.values.get("kernel.core_pattern"), sysctls.core_limit
    if pattern is None:
        yield unsure("core dumps", "kernel.core_pattern could not be read", "Look as root.")
    elif pattern.split(" ")[0] in ("|/bin/false", "|/usr/bin/false", "|/bin/true", "|/usr/bin/true"):
        yield passes("core dumps", f"kernel.core_pattern = {pattern}: the copy is thrown away")
    elif pattern.startswith("|"):
        # A pipe is fed whatever the limits say (core(5)), so that they do not help here.
        yield fails(
            "core dumps", f"kernel.core_pattern = {pattern}: that program keeps or sends copies", PLAN
        )
    elif limit == "0":
        yield passes("core dumps", f"files named {pattern}, with services limited to 0 bytes by systemd")
    elif limit:
        yield fails("core dumps", f"files named {pattern}, with services limited to {limit}", PLAN)
    else:
        yield unsure(
            "core dumps",
            f"files named {pattern}; the limit of each service is not known without systemd",
            "Set kernel.core_pattern to |/bin/false.",
        )


@no_core_dumps.mend
def drop_core_dumps(sysctls: Sysctls, failing: list[Seen]) -> Iterator[Change]:
    for seen in failing:
        line = "kernel.core_pattern = |/bin/false"
        yield _set(sysctls, "kernel.core_pattern", line, no_core_dumps.id, seen.subject)
