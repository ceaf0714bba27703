"""What the SSH server lets happen before anybody is known: root, passwords, empty passwords, stale configuration."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch

from wardkeep.controls.system_access.row import Policy, control
from wardkeep.core.changes import Act, Blocked, Change, Setting, Step, TryLogin
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.sshd import Sshd, SshServer, View

DROP_IN = "/etc/ssh/sshd_config.d/00-wardkeep.conf"
OVERRIDE = "/etc/ssh/sshd_config.d/00-wardkeep-match.conf"
CHECK = "sshd -t"
RELOAD = "systemctl reload ssh"
SEE = "Run `wardkeep plan` for this host to see the change."


def keyboard(view: View) -> bool:
    """Can PAM ask for a password (or a code) at the keyboard?"""
    return view.get("KbdInteractiveAuthentication") == "yes" and view.get("UsePAM") == "yes"


def password_alone(view: View, *, root: bool = False) -> str:
    """The setting that lets somebody in with nothing but what they type, quoted; "" if there is none."""
    if root and view.get("PermitRootLogin") != "yes":
        return ""
    enabled = {
        "password": view.get("PasswordAuthentication") == "yes",
        "keyboard-interactive": keyboard(view),
    }
    keywords = {"password": "PasswordAuthentication", "keyboard-interactive": "KbdInteractiveAuthentication"}
    chains = view.get("AuthenticationMethods").split()
    for chain in (
        [("password",), ("keyboard-interactive",)] if chains == ["any"] else [c.split(",") for c in chains]
    ):
        methods = [method.partition(":")[0] for method in chain]
        if all(enabled.get(method, False) for method in methods):
            return view.quote(keywords[methods[0]])
    return ""


@control.rule(
    says="Root cannot log in over SSH.",
    severity=Severity.HIGH,
    serves={
        "164.312(a)(2)(i)": "Who enters as root has no name of their own, so the act belongs to nobody.",
        "164.312(d)": "Root is an office and not a person whose identity could be verified.",
    },
)
def no_root_login(sshd: Sshd, policy: Policy) -> Iterator[Seen]:
    for server in sshd.servers:
        views = list(server.views("root", frozenset({"root"})))
        for view in views:
            if typed := password_alone(view, root=True):
                seen = f"{view.quote('PermitRootLogin')} and {typed}"
                yield fails(server.subject, seen, SEE, severity=Severity.CRITICAL)
                break
            by_key = view.get("PermitRootLogin") == "prohibit-password"
            if view.get("PermitRootLogin") == "yes" or (by_key and not policy.root_login_by_key):
                yield fails(server.subject, view.quote("PermitRootLogin"), SEE)
                break
        else:
            yield passes(
                server.subject, f"{views[0].quote('PermitRootLogin')}, and no Match block says otherwise"
            )


@no_root_login.mend
def forbid_root_login(sshd: Sshd, failing: list[Seen], policy: Policy) -> Iterator[Change]:
    value = "prohibit-password" if policy.root_login_by_key else "no"
    yield from settings(sshd, failing, no_root_login.id, {"PermitRootLogin": value})


@control.rule(
    says="Nobody can log in over SSH with a password alone.",
    severity=Severity.HIGH,
    serves={
        "164.312(d)": "A password can be guessed or told; a key that stays with its owner verifies more.",
        "164.312(a)(1)": "Guessing passwords is the commonest way by which those without rights get in.",
    },
)
def no_password_login(sshd: Sshd) -> Iterator[Seen]:
    for server in sshd.servers:
        views = list(server.views())
        open_to = next((typed for view in views if (typed := password_alone(view))), "")
        if open_to:
            yield fails(server.subject, open_to, SEE)
        else:
            yield passes(
                server.subject,
                f"{views[0].quote('PasswordAuthentication')}, {views[0].quote('KbdInteractiveAuthentication')}, "
                f"{views[0].quote('AuthenticationMethods')}, and no Match block says otherwise",
            )


@no_password_login.mend
def forbid_password_login(sshd: Sshd, failing: list[Seen]) -> Iterator[Change]:
    wanted = {"PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no"}
    yield from settings(sshd, failing, no_password_login.id, wanted)


@control.rule(
    says="An empty password opens no SSH session.",
    severity=Severity.CRITICAL,
    serves={"164.312(d)": "An empty password verifies nothing about who is entering."},
)
def no_empty_password(sshd: Sshd) -> Iterator[Seen]:
    for server in sshd.servers:
        for view in server.views():
            if view.get("PermitEmptyPasswords") != "no":
                yield fails(server.subject, view.quote("PermitEmptyPasswords"), SEE)
                break
        else:
            yield passes(server.subject, "PermitEmptyPasswords no, and no Match block says otherwise")


@no_empty_password.mend
def forbid_empty_password(sshd: Sshd, failing: list[Seen]) -> Iterator[Change]:
    yield from settings(sshd, failing, no_empty_password.id, {"PermitEmptyPasswords": "no"})


@control.rule(
    says="The SSH server runs the configuration that is on disk.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(1)": "A rule that was written but never loaded keeps nobody out, and every other look here reads the files.",
    },
)
def configuration_in_force(sshd: Sshd) -> Iterator[Seen]:
    for server in sshd.servers:
        if not server.pid:
            yield passes(server.subject, "no SSH server is running: the next one reads the files as they are")
        elif server.loaded is None:
            yield unsure(server.subject, "the server's pid file does not tell when it read its configuration")
        elif server.changed > server.loaded:
            late = server.changed - server.loaded
            yield fails(server.subject, f"its files changed {late} s after the server read them", SEE)
        else:
            yield passes(server.subject, "no file changed since the server read its configuration")


@configuration_in_force.mend
def load_configuration(failing: list[Seen]) -> Iterator[Change]:
    for seen in failing:
        yield Act(
            "Reload the SSH server",
            f"{CHECK} && {RELOAD}",
            undo="",
            why=configuration_in_force.id,
            subject=seen.subject,
            cuts_access=True,
        )


def settings(sshd: Sshd, failing: list[Seen], rule: str, wanted: dict[str, str]) -> Iterator[Change]:
    """The lines of our drop-in files that bring about `wanted`, whatever stands elsewhere.

    A plain line does where nothing else names the keyword. Otherwise the line stands under a `Match all` of its own,
    which beats global lines before it and Match blocks after it (and our files come first in their folder).
    """
    servers = {server.subject: server for server in sshd.servers}
    for seen in failing:
        server = servers[seen.subject]
        for keyword, value in wanted.items():
            line = f"{keyword} {value}"
            if obstacle := _obstacle(server):
                todo = f"Set `{line}` by hand in the configuration that server reads."
                yield Blocked(f"Set {line}", obstacle, todo, rule, seen.subject)
            elif _named_elsewhere(server, keyword.lower()):
                line = f"Match all\n    {line}"
                yield Setting(OVERRIDE, keyword, line, rule, seen.subject, CHECK, RELOAD)
            else:
                yield Setting(DROP_IN, keyword, line, rule, seen.subject, CHECK, RELOAD)


def _obstacle(server: SshServer) -> str:
    if server.options:
        return f"this server was started with `{server.options}`, which may come before any file of ours"
    if not any(fnmatch(DROP_IN, pattern) for _, pattern in server.includes):
        return f"the server does not include the files of {DROP_IN.rpartition('/')[0]}"
    return ""


def _named_elsewhere(server: SshServer, keyword: str) -> bool:
    lines = (*server.plain, *(line for block in server.blocks for line in block.lines))
    ours = (DROP_IN + ":", OVERRIDE + ":")
    return any(line.keyword == keyword and not line.where.startswith(ours) for line in lines)


@control.drilled_by
def try_forbidden_logins(sshd: Sshd) -> Iterator[Step]:
    yield TryLogin("root", "password", no_root_login.id, "Log in as root with a password")
    yield TryLogin("root", "none", no_empty_password.id, "Log in as root with nothing at all")
    yield TryLogin("root", "publickey", no_root_login.id, "Log in as root with a key nobody authorised")
    yield TryLogin("nobody", "password", no_password_login.id, "Log in with a password")
