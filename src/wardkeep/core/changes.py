"""Changes (one act of a plan, with its undo) and steps (one move of a drill). Plain data, shown before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Setting:
    """A line that must stand in a file owned by Wardkeep alone (a drop-in folder's file).

    The planner gathers all settings of one `path`, keeps those already there under other keys, and writes the file as a whole.
    `check` validates the new state before `activate` puts it into force; both are POSIX sh, "" for none.
    """

    path: str  # "/etc/ssh/sshd_config.d/00-wardkeep.conf"
    key: str  # one line per key: "PermitRootLogin"
    line: str  # "PermitRootLogin no"
    why: str  # rule id
    subject: str = ""
    check: str = ""  # "sshd -t"
    activate: str = ""  # "systemctl reload ssh"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Packages to move from one version to another. `restarts` names units that will restart."""

    packages: tuple[tuple[str, str, str], ...]  # (name, from, to)
    why: str
    subject: str = ""
    restarts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """A command with its undo. `undo` may be "" only if `says` states why there is nothing to undo."""

    says: str  # "Lock the account `guest`"
    script: str  # POSIX sh, run as root, idempotent: it may run again after a kill
    undo: str
    why: str
    subject: str = ""
    cuts_access: bool = False  # could lock the operator out: commit-confirmed
    probes: tuple[
        TryConnect, ...
    ] = ()  # tried from the controller before it is confirmed; each must go as it expects
    packets: tuple[PacketFate, ...] = ()  # of the packet filter: whose fate changes
    trial: int = 0  # seconds after which the host's kernel itself goes back, whoever lives, unless a later act keeps it


@dataclass(frozen=True, slots=True)
class PacketFate:
    """A kind of packets that fares otherwise after a change of the packet filter, shown by one of them.

    `before` and `after` are what becomes of it (accept, drop, reject; several where a match that is not modelled decides),
    `old_rule` and `new_rule` what decides about it, in the rules' own words ("" where no rule does).
    """

    packet: str  # "tcp 203.0.113.9:40000 → 192.0.2.2:5432 (new)"
    opens: bool
    before: tuple[str, ...]
    after: tuple[str, ...]
    old_rule: str = ""
    new_rule: str = ""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A change that is withheld because making it would do harm now, such as cutting the operator's own way in.

    A plan shows it and does nothing for it; the finding stays failing. `reason` says what would happen, `todo` what
    must be true first.
    """

    says: str  # "Turn password logins off"
    reason: str  # "alice could then no longer log in: no key is authorised for this account"
    todo: str
    why: str  # rule id
    subject: str = ""


Change: TypeAlias = Setting | Upgrade | Act | Blocked


@dataclass(frozen=True, slots=True)
class Cannot:
    """A verb that does not exist for a rule or control, and why. The matrix shows the sentence."""

    why: str


def cannot(why: str) -> Cannot:
    return Cannot(why)


@dataclass(frozen=True, slots=True)
class TryLogin:
    """From the controller, over the network: try to log in to the host's own sshd in a forbidden way.

    `method` is `password`, `keyboard-interactive`, `none`, or `publickey` (with a new key nobody authorised).
    Passes only if the server itself refuses this method; no connection at all is not a refusal.
    """

    user: str
    method: str
    proves: str  # rule id
    says: str = ""


@dataclass(frozen=True, slots=True)
class TryConnect:
    """From the controller: open a TCP connection to `port` of the host and expect `open` or `closed`.

    Of a packet filter one expects `answered` (a program took the packet, or the host itself said that none is there) or
    `silent` (no answer at all, while the ssh port answers). Port 0 is the one by which the host's sshd is reached from
    here, whatever its number.
    """

    port: int
    expect: str
    proves: str
    says: str = ""


NOT_TRIED = 77  # exit status by which a step's script says that the host lacks what it would need to try


@dataclass(frozen=True, slots=True)
class OnHost:
    """Run `script` on the host as root, expect the exit status and a text in stdout; then `undo`, whatever happened.

    Exit status `NOT_TRIED` makes the step unknown: it was not tried, and so neither passed nor failed.
    """

    says: str
    script: str
    proves: str
    expect_exit: int = 0
    expect_text: str = ""
    undo: str = ""
    timeout: int = 60


@dataclass(frozen=True, slots=True)
class PlantFlaw:
    """Let dpkg install, in a scratch root on the host, a package with a published flaw; then hold it against the advisories.

    `expect` is `found`, or `mended` after dpkg has upgraded it to the fix. Which package and flaw the engine chooses.
    """

    says: str
    proves: str  # rule id
    expect: str
    timeout: int = 60


@dataclass(frozen=True, slots=True)
class SendTest:
    """Hand a test message to an alert channel of the platform, named as facts name it (`mailto #1`): it must be taken.

    Only for a control that is about the platform itself. What the channel does with it afterwards cannot be seen.
    """

    channel: str
    proves: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class PlantAdvisory:
    """Hold a made-up advisory against the real inventory of a host, in a scratch copy of the platform's review.

    `expect` is `queued` (with its deadline), `late` (the day after it) or `fixed` (by a later look). No host is touched.
    """

    says: str
    proves: str  # rule id
    expect: str


Step: TypeAlias = TryLogin | TryConnect | OnHost | PlantFlaw | SendTest | PlantAdvisory


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one step of a drill did and saw. `verdict` is unknown when the step could not be tried."""

    step: str
    proves: str
    verdict: str
    seen: str
    seconds: float = 0.0
    undone: bool = True
    details: dict[str, str] = field(default_factory=dict)
