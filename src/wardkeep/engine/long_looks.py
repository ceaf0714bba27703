"""Looks that are too dear for every cycle: kept in the ledger, and laid into the snapshots of the cycles until the next one.

Three kinds of entry: `scan-inside`, what the host answered to the long questions (every package's checksums),
`scan-outside`, which ports answered from here, and `scan-import`, what another tool's report says. Each has its snapshot as blob, and every answer says itself when it was taken, so
that a rule sees its age. A serving Wardkeep looks by itself when a look grows old; from outside only a person looks.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import func, select

from wardkeep.controls.vulnerability_scanning import LOOK, images_are_looked_into
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.facts import PLATFORM, Answer, Question, Snapshot
from wardkeep.core.findings import Verdict
from wardkeep.core.memo import Memo
from wardkeep.engine.assess import long_questions
from wardkeep.engine.image_packages import kept_form
from wardkeep.engine.index import catch_up
from wardkeep.engine.platform import Platform, timestamp
from wardkeep.facts.container_packages import ContainerPackages
from wardkeep.facts.image_contents import ImageContents
from wardkeep.facts.imported_scans import ImportedScans
from wardkeep.facts.listeners import Listeners
from wardkeep.facts.outside_ports import OutsidePort, OutsidePorts, told
from wardkeep.fleet import Host, observe_all, snapshot_bytes
from wardkeep.fleet.outside import WAIT, addresses_of, look, own_addresses, usual_ports
from wardkeep.fleet.snapshots import snapshot_from_bytes
from wardkeep.store.schema import entries, findings, hosts

INSIDE, OUTSIDE, IMPORTED = "scan-inside", "scan-outside", "scan-import"
NOTHING_IMPORTED = Answer(ImportedScans.ask.id, 0, b'{"scans": []}')
DAY = 86400
EARLY = 0.9  # the part of its time after which a look is renewed
SETTLED = timedelta(minutes=10)  # a host that was just added is not loaded at once
_read_before = Memo(4 << 20)


async def look_inside(
    platform: Platform, actor: str, asked: Sequence[Host], questions: Sequence[Question] = ()
) -> AsyncIterator[Snapshot]:
    """Put long questions (all of them when none are named) to the hosts, record the answers, give the snapshots as they come."""
    wanted = questions or [question for question in long_questions(platform.controls) if question.script]
    async for snapshot in observe_all(asked, wanted):
        if not snapshot.problem:
            record_look(platform, actor, INSIDE, snapshot)
        yield snapshot


def record_look(
    platform: Platform,
    actor: str,
    kind: str,
    snapshot: Snapshot,
    *,
    body: Mapping[str, Any] = MappingProxyType({}),
    blobs: Sequence[tuple[str, bytes]] = (),
) -> int:
    """Keep a look: the ledger's entry with the answers, which stand in the host's snapshots from now on.

    What the host was not asked this time is carried on from its last look; an answer that is not whole does not take the place
    of one that is. The entry tells of each answer when it was taken, and holds `body` and the named `blobs` besides.
    """
    snapshot, walks = kept_form(snapshot)
    blobs = [*blobs, *walks]
    looked = {name: timestamp(snapshot.at) for name in snapshot.answers}
    answers = dict(snapshot.answers)
    for index in _newest(platform, [snapshot.subject], (kind,)).get(snapshot.subject, ()):
        before = next(platform.ledger.read(index, index + 1))["body"]["looked"]
        for name, answer in _answers(platform, index).items():
            if name not in answers or (answer.whole and not answers[name].whole):
                answers[name], looked[name] = answer, before[name]
    named = [("snapshot", snapshot_bytes(replace(snapshot, answers=answers, _learned={}))), *blobs]
    digests = platform.ledger.put_blobs([data for _, data in named])
    unanswered = sorted(name for name, answer in snapshot.answers.items() if not answer.whole)
    entry = platform.record(
        kind,
        actor,
        {"questions": sorted(snapshot.answers), "unanswered": unanswered, "looked": looked, **body},
        subject={"host": snapshot.subject, "control": "vm_scans"},
        blobs=[
            {"name": name, "digest": digest, "size": len(data)}
            for (name, data), digest in zip(named, digests, strict=True)
        ],
    )
    catch_up(platform)
    return entry


def keep_looks(platform: Platform, actor: str, snapshot: Snapshot, asked: Sequence[Question]) -> None:
    """Keep what a cycle's snapshot holds of long questions, so that later cycles do not fall back behind it."""
    found = {ask.id: snapshot.answers[ask.id] for ask in asked if ask.id in snapshot.answers}
    if found and not snapshot.problem:
        record_look(platform, actor, INSIDE, replace(snapshot, answers=found, _learned={}))


def with_kept(
    platform: Platform, snapshots: Sequence[Snapshot], controls: Iterable[Control]
) -> list[Snapshot]:
    """The snapshots with the last answer to each long question that the controls want, where one was kept."""
    wanted = {question.id: question for question in long_questions(controls)}
    names = [one.subject for one in snapshots if not one.problem and one.subject != PLATFORM]
    if not wanted or not names:
        return list(snapshots)
    kept = _newest(platform, names)
    return [_laid_in(platform, one, kept.get(one.subject, ()), wanted) for one in snapshots]


def short_enough(controls: Iterable[Control]) -> list[Question]:
    """The long questions that a look at named rows asks anew: those that are renewed within a day anyhow."""
    return [question for question in long_questions(controls) if question.script and question.keep <= DAY]


def _laid_in(
    platform: Platform, snapshot: Snapshot, looks: Sequence[int], wanted: Mapping[str, Question]
) -> Snapshot:
    if snapshot.problem or snapshot.subject == PLATFORM:
        return snapshot
    found: dict[str, Answer] = {}
    for index in looks:
        found |= {name: answer for name, answer in _answers(platform, index).items() if name in wanted}
    if NOTHING_IMPORTED.question in wanted:
        found.setdefault(NOTHING_IMPORTED.question, NOTHING_IMPORTED)
    if ImageContents.ask.id in wanted and ImageContents.ask.id not in found and _runs_nothing(snapshot):
        # The cheap question has told already that there is nothing to be looked into.
        told = ImageContents(snapshot.at, ()).told()
        found[ImageContents.ask.id] = Answer(ImageContents.ask.id, 0, told)
    for name, question in wanted.items():
        how = "scan host" if question.script else "scan ports"
        why = f"is a long look that was not done yet; `wardkeep {how} {snapshot.subject}` does it now"
        found.setdefault(name, Answer(name, None, b"", whole=False, problem=why))
    # What was asked just now is newer than what was kept.
    return replace(snapshot, answers={**found, **snapshot.answers}, _learned={})


def _runs_nothing(snapshot: Snapshot) -> bool:
    if ContainerPackages.ask.id not in snapshot.answers:
        return False
    containers = snapshot.learn(ContainerPackages)
    return isinstance(containers, ContainerPackages) and not containers.images


def _newest(
    platform: Platform, names: Sequence[str], kinds: Sequence[str] = (INSIDE, OUTSIDE, IMPORTED)
) -> dict[str, list[int]]:
    """Host → the entries of its newest look of each kind, since it was added to the inventory."""
    e = entries.c
    newest = (
        select(e.host, func.max(e.idx))
        .join(hosts, hosts.c.name == e.host)
        .where(e.kind.in_(kinds), e.at >= hosts.c.added)
        .group_by(e.host, e.kind)
    )
    if len(names) < 100:
        newest = newest.where(e.host.in_(names))
    found: dict[str, list[int]] = {}
    with platform.store.read() as connection:
        for host, index in connection.execute(newest):
            found.setdefault(host, []).append(int(index))
    return found


def kept_answer(platform: Platform, host: str, kind: str, question: str) -> Answer | None:
    """The last kept answer of a host to a question; None where none was kept since the host was added."""
    for index in _newest(platform, [host], (kind,)).get(host, ()):
        return _answers(platform, index).get(question)
    return None


def _answers(platform: Platform, index: int) -> Mapping[str, Answer]:
    entry = next(platform.ledger.read(index, index + 1))
    digest, size = entry["blobs"][0]["digest"], int(entry["blobs"][0]["size"])
    return _read_before.get(  # type: ignore[return-value]
        (platform.folder, digest), size, lambda: snapshot_from_bytes(platform.ledger.get_blob(digest)).answers
    )


def looks_due(platform: Platform, now: datetime) -> dict[str, list[Question]]:
    """Host → the long questions whose answers grow too old, or that it was never asked; what is in images, when one runs that was not
    looked into."""
    asks = [question for question in long_questions(platform.controls) if question.script]
    with platform.store.read() as connection:
        known = select(hosts.c.name).where(hosts.c.added < now - SETTLED, hosts.c.url.not_like("recorded:%"))
        names = sorted(connection.execute(known).scalars())
    if not asks or not names:
        return {}
    newest, started = _newest(platform, names, (INSIDE,)), _images_started(platform)
    found = {
        name: [
            ask
            for ask in asks
            if _is_due(
                platform,
                ask,
                newest.get(name, ()),
                now,
                started.get(name) if ask.id == ImageContents.ask.id else None,
            )
        ]
        for name in names
    }
    return {name: due for name, due in found.items() if due}


def _is_due(
    platform: Platform, ask: Question, looks: Sequence[int], now: datetime, since: datetime | None
) -> bool:
    """Whether no look is young enough, or none came after `since`, when there was something new to see."""
    for index in looks:
        looked = next(platform.ledger.read(index, index + 1))["body"]["looked"].get(ask.id)
        if looked is None:
            continue
        at = datetime.fromisoformat(looked)
        if now - at < timedelta(seconds=ask.keep * EARLY) and (since is None or at >= since):
            return False
    return True


def _images_started(platform: Platform) -> dict[str, datetime]:
    """Host → when an image was first seen there that no long look has seen. One look is made for it: an image that cannot be seen
    even so waits for the day's."""
    f = findings.c
    asked = (
        select(f.host, func.max(f.changed_at))
        .where(
            f.rule == images_are_looked_into.id,
            f.verdict == str(Verdict.UNKNOWN),
            f.todo == LOOK,
            f.gone_at.is_(None),
        )
        .group_by(f.host)
    )
    with platform.store.read() as connection:
        return {host: at for host, at in connection.execute(asked)}


async def look_outside(
    platform: Platform,
    actor: str,
    host: Host,
    ports: Sequence[int] = (),
    *,
    rate: float,
    wait: float = WAIT,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[OutsidePorts, Snapshot]:
    """Try the host's ports from here, record what answered, and give it with the host's own list of listeners.

    Tried are `ports` (the usual ones when none are named) and every port that the host itself says it listens on. Raises BadInput
    for a host that cannot be seen from here by its nature, Unavailable where nothing answers.
    """
    address = host.address
    if address.scheme == "recorded":
        raise BadInput("is a recording, which has no ports", where=host.name)
    if host.jump:
        raise BadInput(
            "is reached through another host, so nothing is seen of it from here",
            where=host.name,
            todo="Look from a place that reaches it directly.",
        )
    places = own_addresses() if address.scheme == "local" else await addresses_of(address.place)
    if not places:
        raise BadInput("this machine has no address that others could reach", where=host.name)
    (inside,) = [snapshot async for snapshot in observe_all([host], [Listeners.ask])]
    listeners = inside.learn(Listeners)
    wanted = set(ports or usual_ports())
    if isinstance(listeners, Listeners):
        wanted |= {socket.port for socket in listeners.sockets if socket.protocol == "tcp"}
    if address.scheme == "ssh":
        wanted.add(address.port)
    began = datetime.now(UTC)
    tried = await look(places, sorted(wanted), rate=rate, wait=wait, progress=progress)
    held = (
        {s.port for s in listeners.sockets if s.protocol == "tcp"}
        if isinstance(listeners, Listeners)
        else set()
    )
    told_of = tuple(
        dict.fromkeys(
            OutsidePort(one.port, one.family, one.state, one.tls, one.until)
            for one in tried
            if one.state == "open" or one.port in held
        )
    )
    answer = Answer(OutsidePorts.ask.id, 0, told(began, places, len(wanted), told_of))
    record_look(platform, actor, OUTSIDE, Snapshot(host.name, began, {answer.question: answer}))
    return OutsidePorts.parse(answer), replace(
        inside, answers={**inside.answers, answer.question: answer}, _learned={}
    )
