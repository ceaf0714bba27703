"""What the audit trail records, topic by topic, and that it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wardkeep.controls.vm_scans.row import EVALUATION, INTEGRITY, PLAN, control
from wardkeep.core.changes import Blocked, Change, Setting
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.audit_rules import AuditRules

DROP_IN = "/etc/audit/rules.d/50-wardkeep.rules"
# Topic → what must be named by some rule (each group: one of), and the rules that do it. System calls of both word sizes.
TOPICS: Mapping[str, tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]] = {
    "accounts": (
        (("/etc/passwd", "/etc"), ("/etc/group", "/etc"), ("/etc/shadow", "/etc"), ("/etc/gshadow", "/etc")),
        tuple(f"-w /etc/{name} -p wa -k accounts" for name in ("passwd", "group", "shadow", "gshadow")),
    ),
    "time": (
        (("adjtimex", "clock_settime", "settimeofday"),),
        ("-a always,exit -F arch=b64 -S adjtimex,settimeofday,clock_settime -F auid!=unset -k time", "-w /etc/localtime -p wa -k time"),
    ),
    "network": (
        (("sethostname", "setdomainname"),),
        ("-a always,exit -F arch=b64 -S sethostname,setdomainname -k network", "-w /etc/hosts -p wa -k network"),
    ),
    "log-ins": (
        (("/var/log/lastlog", "/var/log/wtmp", "/run/faillock", "/var/log/faillog", "/var/log/btmp"),),
        ("-w /var/log/wtmp -p wa -k logins", "-w /var/log/btmp -p wa -k logins", "-w /var/log/lastlog -p wa -k logins"),
    ),
    "rights": (
        (("chmod", "fchmod", "fchmodat"), ("chown", "fchown", "lchown", "fchownat"), ("setxattr", "fsetxattr")),
        (
            "-a always,exit -F arch=b64 -S chmod,fchmod,fchmodat -F auid>=1000 -F auid!=unset -k rights",
            "-a always,exit -F arch=b64 -S chown,fchown,lchown,fchownat -F auid>=1000 -F auid!=unset -k rights",
            "-a always,exit -F arch=b64 -S setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr -F auid>=1000 -F auid!=unset -k rights",
        ),
    ),
    "refused": (
        (("-EACCES", "exit=-EACCES", "exit=-13"),),
        (
            "-a always,exit -F arch=b64 -S creat,open,openat,open_by_handle_at,truncate,ftruncate -F exit=-EACCES -F auid>=1000 -F auid!=unset -k refused",
            "-a always,exit -F arch=b64 -S creat,open,openat,open_by_handle_at,truncate,ftruncate -F exit=-EPERM -F auid>=1000 -F auid!=unset -k refused",
        ),
    ),
    "deletions": (
        (("unlink", "unlinkat"), ("rename", "renameat")),
        ("-a always,exit -F arch=b64 -S unlink,unlinkat,rename,renameat,rmdir -F auid>=1000 -F auid!=unset -k deletions",),
    ),
    "mounts": (
        (("mount",),),
        ("-a always,exit -F arch=b64 -S mount -F auid>=1000 -F auid!=unset -k mounts",),
    ),
    "modules": (
        (("init_module", "finit_module"), ("delete_module",)),
        ("-a always,exit -F arch=b64 -S init_module,finit_module,delete_module -F auid!=unset -k modules",),
    ),
    "becoming-root": (
        (("/etc/sudoers", "/usr/bin/sudo", "execve"),),
        ("-w /etc/sudoers -p wa -k becoming-root", "-w /etc/sudoers.d -p wa -k becoming-root",
         "-a always,exit -F arch=b64 -S execve -C uid!=euid -F auid!=unset -k becoming-root"),
    ),
    "confinement": ((("/etc/apparmor", "/etc/apparmor.d"),), ("-w /etc/apparmor.d -p wa -k confinement",)),
}  # fmt: skip


@control.rule(
    says="The audit trail records what an investigator needs: accounts, rights, time, log-ins, modules, refusals.",
    severity=Severity.MEDIUM,
    serves={
        EVALUATION: "Whether the record could answer an investigator's questions is evaluated before one asks.",
        INTEGRITY: "Who altered what, and when, can be said only if it was recorded.",
    },
)
def audit_covers(audit: AuditRules) -> Iterator[Seen]:
    for topic, (groups, _) in sorted(TOPICS.items()):
        lacking = [group for group in groups if not audit.watches(*group)]
        subject = f"audit:{topic}"
        if lacking:
            names = "; ".join(" or ".join(group) for group in lacking)
            yield fails(subject, f"nothing records {names}", PLAN)
        elif audit.loaded:
            yield passes(subject, "recorded by the rules in force")
        else:
            yield unsure(
                subject,
                "the rule files name it; the kernel does not tell what it records",
                "Look as root, on the machine itself.",
            )


@audit_covers.mend
def record_more(audit: AuditRules, failing: list[Seen]) -> Iterator[Change]:
    for seen in failing:
        topic = seen.subject.removeprefix("audit:")
        if not audit.loaded and not audit.settings:
            why = "the host has no audit daemon"
            yield Blocked(f"Record {topic}", why, "Install auditd first.", audit_covers.id, seen.subject)
            continue
        for number, rule in enumerate(TOPICS[topic][1]):
            yield Setting(
                DROP_IN,
                f"{topic}-{number}",
                rule,
                audit_covers.id,
                seen.subject,
                activate="augenrules --load",
            )


@control.rule(
    says="The audit trail is not thrown away when its room is short.",
    severity=Severity.MEDIUM,
    serves={EVALUATION: "What was overwritten or dropped in a burst can no longer be evaluated."},
)
def audit_kept(audit: AuditRules) -> Iterator[Seen]:
    settings = {name: value.strip().lower() for name, value in audit.settings}
    if not settings:
        yield fails("auditd", "the host has no auditd.conf: nothing keeps the trail", "Install auditd.")
        return
    keep = {
        "max_log_file_action": {"keep_logs", "rotate"},
        "space_left_action": {"email", "exec", "syslog", "single", "halt", "rotate"},
        "admin_space_left_action": {"single", "halt", "suspend", "email", "exec"},
        "disk_full_action": {"single", "halt", "suspend", "syslog", "rotate"},
        "flush": {"incremental", "incremental_async", "data", "sync"},
    }
    for name, good in sorted(keep.items()):
        value = settings.get(name, "")
        todo = f"Set {name} in /etc/audit/auditd.conf to one of {', '.join(sorted(good))}."
        yield holds(value in good, f"auditd:{name}", value or "not set", todo)
    state = dict(audit.state)
    if audit.loaded and state.get("lost", "").isdigit():
        lost = int(state["lost"])
        todo = "Make the backlog longer (`-b 8192` in /etc/audit/rules.d), or record less."
        yield holds(
            lost == 0,
            "audit:lost",
            "no event was dropped since the start" if not lost else "the kernel has dropped events",
            todo,
        )


audit_kept.cannot_mend(
    "how much room the trail may take, and what stops when it is full, the operator decides"
)
