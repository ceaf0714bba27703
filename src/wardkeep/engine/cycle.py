"""One cycle: ask every host once, hold the answers against every control, put both on record."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wardkeep.core.collector import collector_paused
from wardkeep.core.control import Control
from wardkeep.core.facts import HOST, PLATFORM, Snapshot
from wardkeep.core.findings import Finding, Verdict
from wardkeep.core.turns import short_turns
from wardkeep.engine.assess import assess, not_built, questions
from wardkeep.engine.findings import Assessment, Turn, deadlines, record
from wardkeep.engine.flaw_review.inventory import note_inventories
from wardkeep.engine.hosts import list_hosts, note_looks
from wardkeep.engine.image_flaws import with_image_flaws
from wardkeep.engine.image_packages import kept_form
from wardkeep.engine.judges import Judges, judges_for
from wardkeep.engine.known_flaws import with_known_flaws
from wardkeep.engine.long_looks import keep_looks, short_enough, with_kept
from wardkeep.engine.own import own_findings
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.engine.platform_facts import ask_platform
from wardkeep.engine.policy_record import note_recorded, policy_blob, policy_entry
from wardkeep.fleet import Host, observe_all, snapshot_bytes

GROUP = 100  # hosts in one batch of the ledger at most
Progress = Callable[[str, int, int], None]  # the subject just done, how many are done, how many there are


@dataclass(frozen=True)
class Checked:
    """What one cycle saw of one subject. `entry` is the assessment's index in the ledger."""

    subject: str
    problem: str
    findings: tuple[Finding, ...]
    entry: int


# No generated repr: asyncio.run makes one of its task's result as it ends (it puts the signal handler back), and that
# of a thousand hosts' findings takes a tenth of the whole cycle.
@dataclass(frozen=True, repr=False)
class Cycle:
    """All subjects of a cycle, and the findings that began or ceased to need somebody."""

    checked: tuple[Checked, ...]
    turns: tuple[Turn, ...]

    @property
    def findings(self) -> list[Finding]:
        return [finding for one in self.checked for finding in one.findings]


def check(
    platform: Platform,
    actor: str,
    hosts: Sequence[Host] | None = None,
    controls: Sequence[Control] | None = None,
    progress: Progress = lambda subject, done, of: None,
    guard: Callable[[], None] | None = None,
    deep: bool = False,
) -> Cycle:
    """Observe and assess now: the given hosts (all of them, and the platform itself, when none are given).

    Each subject's snapshot and assessment are in the ledger before its findings are in the state. A host that cannot be
    asked is recorded as such: all its rules are unknown. `guard` is the fence of a worker (see engine.leases). `deep` asks the
    shorter of the long questions now, instead of taking what was kept (see engine.long_looks).
    Raises only for faults of our own state.
    """
    with collector_paused(), short_turns():
        return asyncio.run(
            _check(platform, actor, hosts, controls or platform.controls, progress, guard, deep)
        )


async def _check(
    platform: Platform,
    actor: str,
    hosts: Sequence[Host] | None,
    controls: Sequence[Control],
    progress: Progress,
    guard: Callable[[], None] | None,
    deep: bool,
) -> Cycle:
    platform = platform.held()
    asked = list_hosts(platform) if hosts is None else list(hosts)
    of = len(asked) + (hosts is None)
    done: list[Checked] = []
    turns: list[Turn] = []

    long = short_enough(controls) if deep else []

    def log(group: Sequence[Snapshot], judges: Judges | None = None) -> Logged:
        for snapshot in group if long else ():
            keep_looks(platform, actor, snapshot, long)
        return log_looks(platform, actor, completed(platform, group, controls), controls, guard, judges)

    def take(logged: Logged) -> None:
        looked, turned = take_in(platform, logged)
        turns.extend(turned)
        for one in looked:
            done.append(one)
            progress(one.subject, len(done), of)

    # While one group is written to the state, the next is judged.
    taking = asyncio.create_task(asyncio.sleep(0))
    with judges_for(len(asked), controls, is_free=lambda: taking.done()) as judges:
        try:
            async for group in _groups(observe_all(asked, (*questions(controls, HOST), *long))):
                logged = await asyncio.to_thread(log, group, judges)
                await taking
                taking = asyncio.create_task(asyncio.to_thread(take, logged))
        finally:
            await taking
    if hosts is None:
        asking = questions(controls, PLATFORM)
        await asyncio.to_thread(lambda: take(log([ask_platform(platform, asking)])))
    return Cycle(tuple(done), tuple(turns))


def look_at_platform(platform: Platform, actor: str) -> Cycle:
    """Assess Wardkeep itself alone: its schedules, its clock, what it has not built."""
    looked, turns = record_looks(
        platform, actor, [ask_platform(platform, questions(platform.controls, PLATFORM))], platform.controls
    )
    return Cycle(tuple(looked), tuple(turns))


async def _groups(snapshots: AsyncIterator[Snapshot]) -> AsyncIterator[list[Snapshot]]:
    """What has come in since the last group was taken, so that one write to the ledger serves all of it; never so much that
    who writes to the state has to wait long for the first."""
    waiting: asyncio.Queue[Snapshot | None] = asyncio.Queue()

    async def collect() -> None:
        try:
            async for snapshot in snapshots:
                waiting.put_nowait(snapshot)
        finally:
            waiting.put_nowait(None)

    collecting = asyncio.create_task(collect())
    more = True
    while more:
        group = [await waiting.get()]
        while len(group) < GROUP and not waiting.empty():
            group.append(waiting.get_nowait())
        more = None not in group
        if snapshots_in := [snapshot for snapshot in group if snapshot is not None]:
            yield snapshots_in
    await collecting


def judge(platform: Platform, snapshot: Snapshot, controls: Sequence[Control]) -> list[Finding]:
    """Every control's findings about one snapshot, what is not built yet included."""
    found: list[Finding] = []
    for control in controls:
        found += assess(control, snapshot, platform.config.policy(control, snapshot.subject))
        # What nothing looks at is said once, about the platform: it is Wardkeep's own gap, not a host's.
        if snapshot.subject == PLATFORM:
            found += not_built(control, PLATFORM)
    if snapshot.subject == PLATFORM:
        ids = {control.id for control in controls}
        found += [finding for finding in own_findings(platform, snapshot.at) if finding.control in ids]
    return found


def completed(
    platform: Platform, snapshots: Sequence[Snapshot], controls: Sequence[Control]
) -> list[Snapshot]:
    """The snapshots with what is not asked of a host each time: known flaws of its packages and images, and what was kept of long looks.

    Whoever holds a snapshot against the controls, for findings, a plan or a drill, completes it first.
    """
    kept = with_kept(platform, [kept_form(one)[0] for one in snapshots], controls)
    return with_image_flaws(platform, with_known_flaws(platform, kept))


@dataclass(frozen=True)
class Logged:
    """Looks that were judged and are in the ledger, and not yet in the state."""

    snapshots: Sequence[Snapshot]
    given: Sequence[Assessment]


def record_looks(
    platform: Platform,
    actor: str,
    snapshots: Sequence[Snapshot],
    controls: Sequence[Control],
    guard: Callable[[], None] | None = None,
) -> tuple[list[Checked], list[Turn]]:
    """Complete snapshots, assess and record them."""
    return record_completed(platform, actor, completed(platform, snapshots, controls), controls, guard)


def record_completed(
    platform: Platform,
    actor: str,
    snapshots: Sequence[Snapshot],
    controls: Sequence[Control],
    guard: Callable[[], None] | None = None,
) -> tuple[list[Checked], list[Turn]]:
    """Assess snapshots, completed before, and record them: all in one batch of the ledger, then all in one transaction of the state."""
    return take_in(platform, log_looks(platform, actor, snapshots, controls, guard))


def log_looks(
    platform: Platform,
    actor: str,
    snapshots: Sequence[Snapshot],
    controls: Sequence[Control],
    guard: Callable[[], None] | None = None,
    judges: Judges | None = None,
) -> Logged:
    """Assess snapshots, completed before, into the ledger, in one batch; a policy that is new before its first assessment.

    `judges` are asked first; what they leave is judged here.
    """
    platform = platform.held()
    rows_seen = frozenset(control.id for control in controls)
    contents = [snapshot_bytes(snapshot) for snapshot in snapshots]
    told = (judges or Judges(controls, 0)).judge(
        snapshots, contents, platform.config, lambda snapshot: judge(platform, snapshot, controls)
    )
    judged = [found for found, _ in told]
    contents += [blob for _, blob in told]
    blobs = [
        {"digest": name, "size": len(data)}
        for name, data in zip(platform.ledger.put_blobs(contents), contents, strict=True)
    ]
    policy = policy_blob(platform)
    changed = policy_entry(platform, actor, policy)
    entries: list[Mapping[str, Any]] = [changed] if changed else []
    for n, (snapshot, found) in enumerate(zip(snapshots, judged, strict=True)):
        entries += (
            _observed(actor, snapshot, blobs[n]),
            _assessed(platform, actor, snapshot, found, controls, policy, blobs[len(snapshots) + n]),
        )
    indices = platform.ledger.append(entries, guard=guard)
    if changed:
        note_recorded(platform, changed, indices.pop(0))
    assessed = indices[1::2]
    given = [
        Assessment(snapshot.subject, snapshot.at, rows_seen, found, entry)
        for snapshot, found, entry in zip(snapshots, judged, assessed, strict=True)
    ]
    return Logged(snapshots, given)


def take_in(platform: Platform, logged: Logged) -> tuple[list[Checked], list[Turn]]:
    """What the ledger holds of these looks into the state. One that ends before is made good from the ledger (engine.index)."""
    recorded = record(platform.store, logged.given, deadlines(platform.config.numbers))
    note_looks(platform, logged.snapshots)
    note_inventories(platform, logged.snapshots)
    checked = [
        Checked(one.host, snapshot.problem, tuple(one.found), one.entry or 0)
        for snapshot, one in zip(logged.snapshots, logged.given, strict=True)
    ]
    return checked, recorded.turns


def tally(found: Sequence[Finding]) -> dict[str, dict[str, int]]:
    """Control id → how many findings of each verdict."""
    counts = Counter([(finding.control, finding.verdict) for finding in found])
    return {
        control: {str(v): counts[control, v] for v in Verdict}
        for control in dict.fromkeys(finding.control for finding in found)
    }


def _observed(actor: str, snapshot: Snapshot, blob: Mapping[str, Any]) -> dict[str, Any]:
    unanswered = sorted(name for name, answer in snapshot.answers.items() if not answer.whole)
    return {
        "kind": "observe",
        "at": timestamp(snapshot.at),
        "actor": actor,
        "subject": {"host": snapshot.subject},
        "body": {"questions": len(snapshot.answers), "unanswered": unanswered, "problem": snapshot.problem},
        "blobs": [{"name": "snapshot", **blob}],
    }


def _assessed(
    platform: Platform,
    actor: str,
    snapshot: Snapshot,
    found: Sequence[Finding],
    controls: Sequence[Control],
    policy: Mapping[str, Any],
    blob: Mapping[str, Any],
) -> dict[str, Any]:
    rows = tally(found)
    return {
        "kind": "assess",
        "at": timestamp(snapshot.at),
        "actor": actor,
        "subject": {"host": snapshot.subject},
        "body": {
            "rows": {c.id: rows.get(c.id, {"pass": 0, "fail": 0, "unknown": 0}) for c in controls},
            "profile": platform.config.profile.name,
            "policy_digest": policy["digest"],
        },
        "blobs": [{"name": "findings", **blob}, policy],
    }
