"""Mounts, modules, confinement, the SSH server's finer settings, and services of another age."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wardkeep.controls.vm_scans.row import EVALUATION, MALWARE, PLAN, RISK, control
from wardkeep.core.changes import Blocked, Change, Setting
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.kernel_modules import KernelModules
from wardkeep.facts.mounts import Mounts
from wardkeep.facts.services import Services
from wardkeep.facts.sshd import Sshd

# Place → options that a mount of its own should have. A place on the root file system cannot have options of its own.
RESTRICTED: Mapping[str, tuple[str, ...]] = {
    "/tmp": ("nosuid", "nodev"),  # noqa: S108
    "/var/tmp": ("nosuid", "nodev"),  # noqa: S108
    "/dev/shm": ("nosuid", "nodev"),  # noqa: S108
    "/home": ("nosuid", "nodev"),
    "/run": ("nosuid",),
}
APART = ("/var", "/var/log", "/var/log/audit")
DROP_IN = "/etc/modprobe.d/wardkeep.conf"
# Protocols and file systems that servers do not use and whose code had flaws that a user could reach.
UNUSED = {
    "cramfs": "a file system", "freevxfs": "a file system", "hfs": "a file system", "hfsplus": "a file system",
    "jffs2": "a file system", "udf": "a file system", "usb-storage": "storage by USB", "dccp": "a network protocol",
    "sctp": "a network protocol", "rds": "a network protocol", "tipc": "a network protocol",
}  # fmt: skip
# Option of `sshd -T` → what it should say, and why.
SSH: Mapping[str, tuple[frozenset[str], str]] = {
    "hostbasedauthentication": (frozenset({"no"}), "no other host vouches for its users"),
    "ignorerhosts": (frozenset({"yes"}), "no file in a home lets others in"),
    "permituserenvironment": (frozenset({"no"}), "nobody changes what runs by a variable"),
    "strictmodes": (frozenset({"yes"}), "keys in a home that others may write to are not believed"),
    "compression": (frozenset({"no", "delayed"}), "nothing is unpacked before the log-in"),
    "gssapiauthentication": (frozenset({"no"}), "a way in that nobody uses is closed"),
    "kerberosauthentication": (frozenset({"no"}), "a way in that nobody uses is closed"),
}
# Broken or too short: RFC 9142 (key exchange), RFC 8758 (RC4), SWEET32 (64-bit blocks), Terrapin for CBC with EtM aside.
WEAK = ("3des", "arcfour", "blowfish", "cast128", "-cbc", "hmac-md5", "hmac-sha1-96", "umac-64", "group1-sha1", "group-exchange-sha1", "group14-sha1", "ssh-dss")  # fmt: skip
OLD_SERVICES = (
    "telnet", "telnetd", "inetd", "inetutils-inetd", "openbsd-inetd", "xinetd", "rsh", "rlogin", "rexec", "ypserv", "ypbind",
    "nis", "talk", "ntalk", "tftpd-hpa", "atftpd", "zebra", "autofs", "rwhod", "debug-shell",
)  # fmt: skip


@control.rule(
    says="Nobody's files can lend rights or be devices where everybody may write.",
    severity=Severity.LOW,
    serves={RISK: "A mount that ignores set-id bits and devices takes the last step from many attacks."},
)
def mounts_restricted(mounts: Mounts) -> Iterator[Seen]:
    for place, options in RESTRICTED.items():
        mount = mounts.of(place)
        subject = f"mount:{place}"
        if mount.at != place:
            told = f"lies on {mount.at} ({mount.kind}) and has no options of its own"
            if mounts.container:
                yield passes(subject, f"{told}; its {mounts.container} container is what bounds it")
            else:
                yield fails(
                    subject, told, f"Give it a file system of its own, mounted with {','.join(options)}."
                )
            continue
        lacking = [option for option in options if option not in mount.options]
        todo = f"Add {','.join(lacking)} to its line in /etc/fstab or its unit, and remount it."
        told = f"{mount.kind} {','.join(sorted(mount.options & {'nosuid', 'nodev', 'noexec', 'ro'})) or 'without restriction'}"
        yield holds(not lacking, subject, told, todo)


mounts_restricted.cannot_mend("moving a folder to a file system of its own is a person's work on the disks")


@control.rule(
    says="Logs and the audit trail cannot be starved of room by anything else.",
    severity=Severity.LOW,
    serves={EVALUATION: "A record that stops because somebody filled the disk cannot be evaluated."},
)
def logs_apart(mounts: Mounts) -> Iterator[Seen]:
    for place in APART:
        mount = mounts.of(place)
        if mounts.container:
            yield passes(f"mount:{place}", f"lies in a {mounts.container} container; its engine bounds it")
        else:
            todo = f"Give {place} a file system of its own."
            yield holds(mount.at == place, f"mount:{place}", f"lies on {mount.at} ({mount.kind})", todo)


logs_apart.cannot_mend("moving a folder to a file system of its own is a person's work on the disks")


@control.rule(
    says="Code of the kernel that nobody here uses cannot be loaded.",
    severity=Severity.LOW,
    serves={RISK: "A module that cannot be loaded has no flaws that anybody could use."},
)
def unused_modules_blocked(modules: KernelModules) -> Iterator[Seen]:
    no_modules = any(told == ("modules_disabled", "1") for told in modules.loading)
    for name, what in sorted(UNUSED.items()):
        subject, plain = f"module:{name}", name.replace("-", "_")
        if plain in modules.modules:
            yield fails(subject, f"{what}, loaded now", f"Unload it, or waive it where it is needed. {PLAN}")
        elif plain in modules.blocked or no_modules:
            yield passes(subject, f"{what}, not loaded and blocked")
        else:
            yield fails(subject, f"{what}, not loaded but not blocked", PLAN)


@unused_modules_blocked.mend
def block_unused_modules(modules: KernelModules, failing: list[Seen]) -> Iterator[Change]:
    for seen in failing:
        name = seen.subject.removeprefix("module:")
        line = f"install {name} /bin/false"
        if modules.container:
            reason = f"the kernel belongs to the machine that runs this {modules.container} container"
            yield Blocked(
                f"Set `{line}`", reason, "Set it on that machine.", unused_modules_blocked.id, seen.subject
            )
        else:
            yield Setting(DROP_IN, f"install {name}", line, unused_modules_blocked.id, seen.subject)


@control.rule(
    says="The kernel runs only code that its distribution signed.",
    severity=Severity.MEDIUM,
    serves={
        MALWARE: "A rootkit in the kernel comes as a module that nobody signed.",
        RISK: "Code from elsewhere in the kernel is outside of all updates.",
    },
)
def kernel_untainted(modules: KernelModules) -> Iterator[Seen]:
    told = ", ".join(modules.taints)
    where = f" (of the machine that runs this {modules.container} container)" if modules.container else ""
    yield holds(
        not told,
        "kernel",
        f"tainted by {told}{where}" if told else f"not tainted (taint {modules.tainted}){where}",
        "Find the module with `dmesg | grep -i taint`; waive it if you put it there.",
    )


kernel_untainted.cannot_mend("a taint stays until the machine starts anew without the module")


@control.rule(
    says="Programs are confined by AppArmor.",
    severity=Severity.MEDIUM,
    serves={RISK: "A program that was taken over reaches only what its profile lets it reach."},
)
def programs_confined(modules: KernelModules) -> Iterator[Seen]:
    told = dict(modules.loading).get("apparmor", "")
    if not told:
        yield fails(
            "apparmor", "this kernel shows no AppArmor", "Install apparmor, and start the kernel with it."
        )
    else:
        yield holds(
            told == "Y", "apparmor", f"enabled: {told}", "Start the kernel with apparmor=1 security=apparmor."
        )


programs_confined.cannot_mend("the kernel decides at its start")


@control.rule(
    says="The SSH server's finer settings are closed, and its ciphers are strong.",
    severity=Severity.MEDIUM,
    serves={EVALUATION: "The settings of the main way in are held against a baseline at every look."},
)
def ssh_settings_closed(sshd: Sshd) -> Iterator[Seen]:
    for server in sorted(sshd.servers, key=lambda s: s.subject):
        for option, (good, why) in SSH.items():
            values = server.told.get(option, ())
            subject = f"{server.subject}:{option}"
            if not values:
                # Not every build knows every way in: one that is not there is closed.
                yield passes(subject, "this sshd knows no such setting")
            else:
                said = f"{option} {values[0]}"
                todo = f"Set `{option} {min(good)}` in a file of /etc/ssh/sshd_config.d."
                yield holds(
                    values[0] in good, subject, f"{said}, so that {why}" if values[0] in good else said, todo
                )
        for option in ("ciphers", "macs", "kexalgorithms"):
            offered = ",".join(server.told.get(option, ())).split(",")
            weak = [one for one in offered if any(mark in one for mark in WEAK)]
            subject = f"{server.subject}:{option}"
            if offered == [""]:
                yield unsure(subject, f"sshd does not tell its {option}")
            else:
                todo = f"Leave them out: `{option} -{','.join(weak)}` in a file of /etc/ssh/sshd_config.d."
                yield holds(
                    not weak,
                    subject,
                    f"weak: {', '.join(weak)}" if weak else f"{len(offered)} offered, none weak",
                    todo,
                )


ssh_settings_closed.cannot_mend(
    "an old client may need what is closed; the operator changes sshd's configuration"
)


@control.rule(
    says="No service of another age, and no shell without log-in, runs or starts.",
    severity=Severity.HIGH,
    serves={RISK: "telnet, rsh, NIS and their like send passwords in clear; a debug shell asks for none."},
)
def old_services_absent(services: Services) -> Iterator[Seen]:
    found = services.installed(OLD_SERVICES)
    for unit in found:
        off = not unit.runs and unit.enabled in ("disabled", "masked", "static", "")
        yield holds(
            off, f"service:{unit.name}", unit.state, f"Stop and mask it: systemctl mask --now {unit.name}."
        )
    if not found:
        yield passes("host", "none of the services of another age is there")


old_services_absent.cannot_mend("who relies on such a service must be asked first")
