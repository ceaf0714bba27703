"""Staged hosts: small named states that a host of the lab is brought into. Each is one file, tests/staged/NAME.toml.

What a file says is in tests/staged/README.md. Nothing here knows any state by name: dropping in a file adds one.
"""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from string import Template
from typing import Any

from tests.e2e.fleet_hosts import connector

from wardkeep.controls import all_controls
from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.core.facts import Question, Snapshot
from wardkeep.core.findings import Finding
from wardkeep.engine.assess import assess, questions
from wardkeep.engine.config import read_config
from wardkeep.engine.declared import with_lists
from wardkeep.fleet import RecordedConnector
from wardkeep.fleet.ssh_keys import fingerprint
from wardkeep.lab import NEEDS, OUTSIDE, Host, Lab
from wardkeep.lab.recipes import SUITES

FOLDER = Path(__file__).parent / "staged"
# The rows that are whole: each of their rules is broken by a state, and each row has a scenario (tests/laws).
FINISHED = ("system_access", "operating_system", "security_patching", "firewall")
ALWAYS = frozenset(
    {"systemd", "users", "debian-packages"}
)  # what every fact of a Debian host needs to be answered
ORDER = ("pass", "unknown", "fail")
Subjects = tuple[str, ...]
Found = tuple[str, str, str]  # rule, subject, verdict


@dataclass(frozen=True)
class State:
    """One file of tests/staged. `verdicts`: rule → verdict → the subjects that must have it, () for any."""

    name: str
    says: str
    stage: str
    check: str
    verdicts: Mapping[str, Mapping[str, Subjects]]
    needs: frozenset[str] = frozenset()
    after: tuple[str, ...] = ()
    debian: tuple[str, ...] = tuple(SUITES)
    policy: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    enter_as: str = ""
    only: Mapping[str, Mapping[str, Mapping[str, Subjects]]] = field(
        default_factory=dict
    )  # Debian → verdicts there

    def verdicts_on(self, debian: str) -> dict[str, Mapping[str, Subjects]]:
        return {**self.verdicts, **self.only.get(debian, {})}

    def breaks(self) -> set[str]:
        """The rules that this state makes fail, on any Debian."""
        told = [self.verdicts_on(debian).items() for debian in self.debian]
        return {rule for one in told for rule, verdicts in one if "fail" in verdicts}


KEYS = {
    "says": str, "stage": str, "check": str, "verdicts": dict, "needs": list, "after": list, "debian": list, "policy": str,
    "files": dict, "enter_as": str, "only": dict,
}  # fmt: skip


def read_state(file: Path) -> State:
    """Raises BadInput in one line."""

    def bad(said: str, todo: str = "") -> BadInput:
        return BadInput(said, where=file.name, todo=todo)

    try:
        told = tomllib.loads(file.read_text())
    except (OSError, tomllib.TOMLDecodeError) as e:
        raise bad(str(e)) from None
    for key, value in told.items():
        if key not in KEYS:
            raise bad(f"`{key}` is no key of a staged state", f"There are {', '.join(KEYS)}")
        if not isinstance(value, KEYS[key]):
            raise bad(f"`{key}` must be a {KEYS[key].__name__}")
    for key in ("says", "stage", "check"):
        if not told.get(key, "").strip():
            raise bad(f"`{key}` is missing")
    if unknown := set(told.get("needs", ())) - set(NEEDS):
        raise bad(f"no host offers {', '.join(sorted(unknown))}", f"There are {', '.join(NEEDS)}")
    if unknown := set(told.get("debian", ())) - set(SUITES):
        raise bad(f"the lab has no Debian {', '.join(sorted(unknown))}")

    def verdicts_of(table: dict[str, Any]) -> dict[str, Mapping[str, Subjects]]:
        verdicts: dict[str, Mapping[str, Subjects]] = {}
        for rule, said in table.items():
            shape = {said: []} if isinstance(said, str) else said
            if not shape or set(shape) - set(ORDER):
                raise bad(f"{rule}: a verdict is {', '.join(ORDER)}")
            verdicts[rule] = {verdict: tuple(subjects) for verdict, subjects in shape.items()}
        return verdicts

    only = {debian: verdicts_of(table) for debian, table in told.get("only", {}).items()}
    if unknown := set(only) - set(SUITES):
        raise bad(f"the lab has no Debian {', '.join(sorted(unknown))}")
    return State(
        file.stem, told["says"], told["stage"], told["check"], verdicts_of(told.get("verdicts", {})), frozenset(told.get("needs", ())),
        tuple(told.get("after", ())), tuple(told.get("debian", SUITES)), told.get("policy", ""), told.get("files", {}),
        told.get("enter_as", ""), only,
    )  # fmt: skip


def all_states() -> dict[str, State]:
    """Every state by its name."""
    return {file.stem: read_state(file) for file in sorted(FOLDER.glob("*.toml"))}


def chain(names: Iterable[str]) -> list[State]:
    """The states in the order in which they are staged, those that they come after first. Raises BadInput."""
    known, done = all_states(), dict[str, State]()

    def take(name: str, path: tuple[str, ...]) -> None:
        if name not in known:
            raise BadInput(f"there is no staged state `{name}`", where=path[-1] if path else "")
        if name in path:
            raise BadInput(f"comes after itself: {' → '.join((*path, name))}", where=name)
        for before in known[name].after:
            take(before, (*path, name))
        done.setdefault(name, known[name])

    for name in names:
        take(name, ())
    return list(done.values())


def needs_of(names: Iterable[str]) -> frozenset[str]:
    """What a host must offer to be brought into those states."""
    return ALWAYS.union(*(state.needs for state in chain(names)))


@dataclass
class Staged:
    """A live host in a state: the host, the account that Wardkeep enters as, and what `wardkeep.toml` and other files say."""

    host: Host
    user: str
    policy: str
    files: dict[str, str]

    def write(self, folder: Path) -> Path:
        """The policy under which the host is judged, as files of a state folder; returns `wardkeep.toml`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"wardkeep.toml": self.policy, **self.files}.items():
            (folder / name).write_text(text)
        return folder / "wardkeep.toml"


def stage(
    lab: Lab, names: Collection[str], *, debian: str, name: str = "", needs: Iterable[str] = ()
) -> Staged:
    """A new host in those states that offers what is needed. Raises Unavailable when a state's own check says that it did
    not take."""
    states = chain(names)
    host = lab.host(name, needs=needs_of(names).union(needs), debian=debian)
    user = next((state.enter_as for state in reversed(states) if state.enter_as), "root")
    if user != "root":
        host.add_operator(user)
    said = words(lab)
    shell = "".join(f"export {word}='{value}'\n" for word, value in said.items())
    for state in states:
        try:
            host.stage(shell + state.stage, timeout=300)
            host.stage(shell + state.check)
        except Unavailable as e:
            raise Unavailable(f"the state `{state.name}` did not take: {e}", where=host.name) from None
    host.wait_ready()
    return Staged(host, user, *policy_of(states, said))


def policy_of(states: Iterable[State], said: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """What `wardkeep.toml` says of a host in those states, and the other files beside it."""

    def fill(text: str) -> str:
        return Template(text).safe_substitute(said)

    states = list(states)
    files = {file: fill(text) for state in states for file, text in state.files.items()}
    return "\n".join(fill(state.policy) for state in states if state.policy), files


def words(lab: Lab) -> dict[str, str]:
    """What scripts and policies of states may name: $LAB_NETWORK, where Wardkeep comes from; $LAB_KEY, its key's fingerprint."""
    network = ip_network(lab.networks[OUTSIDE].subnet).supernet(new_prefix=16)
    kind, key = lab.key.with_suffix(".pub").read_text().split()[:2]
    return {"LAB_NETWORK": str(network), "LAB_KEY": fingerprint(f"{kind} {key}")}


def look(staged: Staged, *more: Question) -> Snapshot:
    """Ask the host all that a control asks, over ssh."""
    made = connector(staged.host, user=staged.user)
    controls = [control for control in all_controls() if control.rules]

    async def ask() -> Snapshot:
        try:
            return await made.ask([*questions(controls, "host"), *more])
        finally:
            await made.close()

    return asyncio.run(ask())


def judge(snapshot: Snapshot, config: Path) -> list[Finding]:
    """What every row says of that snapshot under the policy in a `wardkeep.toml` (or the default, if there is none)."""
    read = with_lists(read_config(config, all_controls()), all_controls())
    return [f for made in all_controls() if made.rules for f in assess(made, snapshot, read.policy(made))]


def replayed(folder: Path) -> list[Finding]:
    """What every row says of a recorded host under the policy in its folder."""
    controls = [made for made in all_controls() if made.rules]
    snapshot = asyncio.run(RecordedConnector(folder).ask(questions(controls, "host")))
    assert not snapshot.problem, snapshot.problem
    return judge(snapshot, folder / "wardkeep.toml")


def not_passing(found: Iterable[Finding]) -> set[Found]:
    return {(f.rule, f.subject, str(f.verdict)) for f in found if f.verdict != "pass"}


def worst(found: Iterable[Finding]) -> dict[str, str]:
    """Rule → the worst verdict over its subjects."""
    said: dict[str, str] = {}
    for f in found:
        said[f.rule] = max(said.get(f.rule, "pass"), str(f.verdict), key=ORDER.index)
    return said


def differences(states: Iterable[State], debian: str, found: list[Finding], before: set[Found]) -> list[str]:
    """How what was found differs from what the states say, one line each; nothing when it is as they say.

    `before` is what did not pass on the host that they were staged on: whatever is new must be named by a state.
    """
    wanted: dict[str, Mapping[str, Subjects]] = {}
    for state in states:
        wanted |= state.verdicts_on(debian)
    said, lines = worst(found), []
    for rule, verdicts in wanted.items():
        for verdict, subjects in verdicts.items():
            have = {f.subject for f in found if f.rule == rule and f.verdict == verdict}
            if not have or (verdict == "pass" and said.get(rule) != "pass"):
                lines.append(f"{rule}: {said.get(rule, 'was not spoken of')}, and not {verdict}")
            others = ", ".join(sorted(have)) or "nothing is"
            lines += [f"{rule}: {s} is not {verdict}; {others}" for s in subjects if s not in have]
    for rule, subject, verdict in sorted(not_passing(found) - before):
        if verdict not in wanted.get(rule, {}):
            seen = next(
                f.seen for f in found if (f.rule, f.subject, str(f.verdict)) == (rule, subject, verdict)
            )
            lines.append(f"{rule}: {verdict} for {subject}, which no state says: {seen}")
    return lines


def as_plain(found: list[Finding]) -> dict[str, Any]:
    """For a person: rule → the subjects that do not pass, with what was seen."""
    shown: dict[str, Any] = {}
    for f in found:
        if f.verdict != "pass":
            shown.setdefault(f"{f.verdict} {f.rule}", []).append(f"{f.subject}: {f.seen}")
    return dict(sorted(shown.items()))
