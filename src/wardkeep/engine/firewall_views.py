"""A host's packet filter as people read it: who may reach what, what becomes of every rule, and whether the rules are on trial.

From the host's last look alone; a look that did not understand the rules is said to be one, never taken for an empty rule set.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, cast

from wardkeep.controls.firewall_audit.exact import observed_rules
from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Snapshot, Unknown
from wardkeep.core.memo import Memo
from wardkeep.engine.allowlist_hosts import look_for_rules, newest_looks
from wardkeep.engine.host_views import page_hosts
from wardkeep.engine.platform import Platform
from wardkeep.facts.iptables import Iptables
from wardkeep.facts.nftables import Nftables
from wardkeep.rulesets.audit.audit import verdicts_of
from wardkeep.rulesets.audit.matrix import Matrix, as_json, matrices
from wardkeep.rulesets.audit.model import VERDICTS, RuleVerdict, sentence
from wardkeep.rulesets.audit.picture import drawn

PAGE: Final = 200  # rules of one page
LARGEST: Final = 60  # rows or columns of a picture; a larger one is a table alone
SHOW: Final = VERDICTS
OURS: Final = ("inet", "wardkeep")
NAMED: Final = re.compile(r'\bcounter name "?([\w.-]+)"?')
_known: Final = Memo(32_000_000)


@dataclass(frozen=True)
class RuleView:
    """One rule. `hidden_by` are the rules of a smallest cover; `witness` is a packet that comes to it. `packets`: by its own
    counter, or by the named one that it counts with, which other rules may count with too; None: it counts nowhere."""

    id: str
    chain: str
    position: int
    text: str
    verdict: str
    why: str
    hidden_by: tuple[str, ...]
    contradicted: bool
    packets: int | None
    witness: dict[str, Any] | None
    shown_by: str  # the witness in words


@dataclass(frozen=True)
class PictureView:
    """Who may reach what: `cells[row][column]` is open, closed or depends. `drawing`: what is inside an SVG picture of `width` ×
    `height` pixels, with all that a rule set says escaped; "" where it would be too large to look at."""

    route: str
    family: int
    service: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    drawing: str = field(repr=False)
    width: int = field(repr=False)
    height: int = field(repr=False)


@dataclass(frozen=True)
class HostFirewall:
    """`problem` says why nothing is known. `at`: when the host was looked at. `until`: when the kernel itself goes back to the
    rules before, if those in force are on trial. `counts`: verdict → rules. `rules` are those of one page, `after` the next."""

    host: str
    at: datetime | None
    problem: str
    until: datetime | None
    counts: dict[str, int]
    shown: int
    rules: tuple[RuleView, ...]
    after: int | None
    pictures: tuple[PictureView, ...]


def host_firewall(platform: Platform, host: str, *, show: str = "", start: int = 0) -> HostFirewall | None:
    """What the host's last look says; None when no host has this name. `show`: only rules with this verdict."""
    if not any(one.name == host for one in page_hosts(platform, q=host).hosts):
        return None
    index = newest_looks(platform).get(host)
    if index is None:
        return _nothing(host, None, "it was never looked at")
    snapshot = look_for_rules(platform, host, index)
    nftables, iptables = snapshot.learn(Nftables), snapshot.learn(Iptables)
    for fact in (nftables, iptables):
        if isinstance(fact, Unknown):
            return _nothing(host, snapshot.at, fact.reason)
    assert isinstance(nftables, Nftables)
    assert isinstance(iptables, Iptables)
    try:
        verdicts, pictures = _judged(nftables, iptables)
    except WardkeepError as e:
        return _nothing(host, snapshot.at, e.line())
    named = named_counters(snapshot)
    counted = Counter(verdict.verdict for verdict in verdicts)
    chosen = [v for v in verdicts if not show or v.verdict == show]
    return HostFirewall(
        host,
        snapshot.at,
        "",
        trial_until(nftables, snapshot),
        {name: counted[name] for name in VERDICTS if counted[name]},
        len(chosen),
        tuple(_view(verdict, named) for verdict in chosen[start : start + PAGE]),
        start + PAGE if start + PAGE < len(chosen) else None,
        tuple(map(_picture, pictures)),
    )


def trial_until(nftables: Nftables, snapshot: Snapshot) -> datetime | None:
    """When the switch that keeps our rules on trial is thrown by the kernel; None when they are not on trial."""
    armed = nftables.find(*OURS, "armed")
    left = [
        int(element["elem"].get("expires", 0))
        for element in (armed.elements if armed else ())
        if isinstance(element, dict) and isinstance(element.get("elem"), dict)
    ]
    return snapshot.at + timedelta(seconds=min(left)) if left else None


def _judged(nftables: Nftables, iptables: Iptables) -> tuple[list[RuleVerdict], tuple[Matrix, ...]]:
    """The verdicts and the pictures, made once for equal rule sets. Raises WardkeepError."""
    whole = repr((nftables.tables, nftables.chains, nftables.rules, nftables.collections, iptables.tables))

    def make() -> object:
        rule_set = observed_rules(nftables, iptables)
        return verdicts_of(rule_set.program)[0], tuple(matrices(rule_set))

    made = _known.get(sha256(whole.encode()).digest(), 10 * len(whole), make)
    return cast(tuple[list[RuleVerdict], tuple[Matrix, ...]], made)


def named_counters(snapshot: Snapshot) -> dict[tuple[str, str], int]:
    """(table, name) → packets, of the counters that nft tells as objects of their own."""
    told = snapshot.answers.get(Nftables.ask.id)
    try:
        objects = json.loads(told.text())["nftables"] if told else []
        found = [one["counter"] for one in objects if "counter" in one]
        return {(f"{one['family']} {one['table']}", one["name"]): int(one["packets"]) for one in found}
    except (WardkeepError, ValueError, KeyError, TypeError):
        return {}


def _view(v: RuleVerdict, named: Mapping[tuple[str, str], int]) -> RuleView:
    packets = v.packets
    if packets is None and (match := NAMED.search(v.text)):
        packets = named.get((v.chain.rpartition(" ")[0], match[1]))
    return RuleView(
        v.id, v.chain, v.position, v.text, v.verdict, v.why, v.cover, v.contradicted, packets,
        dict(v.witness) if v.witness else None, sentence(v.witness) if v.witness else "",
    )  # fmt: skip


def _picture(one: Matrix) -> PictureView:
    body, width, height = "", 0, 0
    if max(len(one.rows), len(one.columns)) <= LARGEST:
        body, width, height = drawn([one])
    cells = tuple(tuple(row) for row in as_json(one)["cells"])
    return PictureView(one.route, one.family, one.service, one.rows, one.columns, cells, body, width, height)


def _nothing(host: str, at: datetime | None, problem: str) -> HostFirewall:
    return HostFirewall(host, at, problem, None, {}, 0, (), None, ())
