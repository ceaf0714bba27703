"""What the SSH server lets happen before anybody is known: root, passwords, empty passwords, stale configuration."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.system_access.authentication import chains, password_alone
from wardkeep.controls.system_access.drop_in import CHECK, RELOAD, SEE, settings
from wardkeep.controls.system_access.row import Policy, control
from wardkeep.controls.system_access.ways_in import Doors, Without, cut
from wardkeep.core.changes import Act, Change
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.accounts import Accounts
from wardkeep.facts.authorized_keys import AuthorizedKeys
from wardkeep.facts.sshd import Sshd
from wardkeep.facts.sudoers import Sudoers
from wardkeep.facts.way_in import WayIn

RECORDING = frozenset({"INFO", "VERBOSE", "DEBUG", "DEBUG1", "DEBUG2", "DEBUG3"})
ELSEWHERE = "and no Match block says otherwise"


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
        views = [view for view in server.views("root") if view.admits("root")]
        for view in views:
            value = view.get("PermitRootLogin")
            if typed := password_alone(view, root=True):
                seen = f"{view.quote('PermitRootLogin')} and {typed}"
                yield fails(server.subject, seen, SEE, severity=Severity.CRITICAL)
                break
            if value != "no" and not (policy.root_login_by_key and value != "yes"):
                yield fails(server.subject, view.quote("PermitRootLogin"), SEE)
                break
        else:
            said = views[0].quote("PermitRootLogin") if views else "AllowUsers or DenyUsers keeps root out"
            yield passes(server.subject, f"{said}, {ELSEWHERE}")


@no_root_login.mend
def forbid_root_login(
    sshd: Sshd,
    accounts: Accounts,
    keys: AuthorizedKeys,
    sudoers: Sudoers,
    me: WayIn,
    failing: list[Seen],
    policy: Policy,
) -> Iterator[Change]:
    harm = ""
    if not policy.root_login_by_key:
        harm = cut(Doors(sshd, accounts, keys, sudoers), Without(root=True), me, policy.administrators)
    value = "prohibit-password" if policy.root_login_by_key else "no"
    yield from settings(sshd, failing, no_root_login.id, {"PermitRootLogin": value}, harm)


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
            continue
        keywords = ("PasswordAuthentication", "KbdInteractiveAuthentication", "AuthenticationMethods")
        said = ", ".join(views[0].quote(keyword) for keyword in keywords)
        yield passes(server.subject, f"{said}, {ELSEWHERE}")


@no_password_login.mend
def forbid_password_login(
    sshd: Sshd,
    accounts: Accounts,
    keys: AuthorizedKeys,
    sudoers: Sudoers,
    me: WayIn,
    failing: list[Seen],
    policy: Policy,
) -> Iterator[Change]:
    harm = cut(Doors(sshd, accounts, keys, sudoers), Without(passwords=True), me, policy.administrators)
    wanted = {"PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no"}
    for server in sshd.servers:
        if any(len(chain) > 1 and "publickey" in chain for view in server.views() for chain in chains(view)):
            harm = (
                "passwords or codes typed in are a second factor beside keys here: without them nobody enters"
            )
    yield from settings(sshd, failing, no_password_login.id, wanted, harm)


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
            yield passes(server.subject, f"PermitEmptyPasswords no, {ELSEWHERE}")


@no_empty_password.mend
def forbid_empty_password(sshd: Sshd, failing: list[Seen]) -> Iterator[Change]:
    yield from settings(sshd, failing, no_empty_password.id, {"PermitEmptyPasswords": "no"})


@control.rule(
    says="The SSH server runs the configuration that is on disk.",
    severity=Severity.MEDIUM,
    serves={
        "164.312(a)(1)": "A rule that was written and never loaded keeps nobody out.",
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
            "Reload the SSH server (open sessions stay; there is nothing to undo: it reads the files as they stand)",
            f"{CHECK} && {RELOAD}",
            undo="",
            why=configuration_in_force.id,
            subject=seen.subject,
            cuts_access=True,
        )


@control.rule(
    says="Connections that went dead are closed.",
    severity=Severity.LOW,
    serves={
        "164.312(a)(2)(iii)": "A session whose other end vanished would stay open for whoever finds the way back to it.",
    },
)
def dead_connections_end(sshd: Sshd, policy: Policy) -> Iterator[Seen]:
    limit = int(policy.idle_after.total_seconds())
    for server in sshd.servers:
        for view in server.views():
            every, count = int(view.get("ClientAliveInterval")), int(view.get("ClientAliveCountMax"))
            quoted = f"{view.quote('ClientAliveInterval')}, {view.quote('ClientAliveCountMax')}"
            if not 0 < every * count <= limit:
                yield fails(server.subject, f"{quoted}: wanted a product of 1 to {limit} s", SEE)
                break
        else:
            yield passes(server.subject, f"{quoted}: closed after {every * count} s")


@dead_connections_end.mend
def close_dead_connections(sshd: Sshd, failing: list[Seen], policy: Policy) -> Iterator[Change]:
    every = max(1, int(policy.idle_after.total_seconds()) // 3)
    wanted = {"ClientAliveInterval": str(every), "ClientAliveCountMax": "3"}
    yield from settings(sshd, failing, dead_connections_end.id, wanted)


@control.rule(
    says="The SSH server records who logs in and who fails to.",
    severity=Severity.HIGH,
    serves={
        "164.312(b)": "The server's own lines are the record of who entered the host.",
        "164.308(a)(5)(ii)(C)": "Failed attempts can only be noticed if they are written down.",
    },
)
def logins_recorded(sshd: Sshd) -> Iterator[Seen]:
    for server in sshd.servers:
        for view in server.views():
            # sshd -T calls the level QUIET by its inner name SILENT: only levels known to record log-ins count.
            if view.get("LogLevel").upper() not in RECORDING:
                yield fails(server.subject, view.quote("LogLevel"), SEE)
                break
        else:
            yield passes(server.subject, f"{view.quote('LogLevel')}, {ELSEWHERE}")


@logins_recorded.mend
def record_logins(sshd: Sshd, failing: list[Seen]) -> Iterator[Change]:
    yield from settings(sshd, failing, logins_recorded.id, {"LogLevel": "VERBOSE"})
