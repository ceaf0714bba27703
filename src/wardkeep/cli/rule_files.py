"""What a command on firewall rules is given: files, `-` for standard input, or `here` for the rules this machine runs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from wardkeep.cli.listening import Reached, reached
from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.core.facts import Fact, Snapshot, Unknown
from wardkeep.rulesets.files import RuleSet, load

HERE = Path("here")
NAME = "this machine"
F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Given:
    """The rule sets, and what listens where that was seen together with them."""

    rule_sets: list[RuleSet]
    listening: list[Reached] | None = None


def given(paths: Sequence[Path] | None) -> Given:
    """Rule sets of files, or of this machine where none is named. Raises BadInput, NotUnderstood or Unavailable in one line."""
    paths = paths or [HERE]
    if HERE not in paths:
        return Given(load(paths))
    if len(paths) > 1:
        raise BadInput(
            "stands for all rules of this machine: no file belongs to it",
            where="here",
            todo="Name it alone, or write `./here` if it is a file",
        )
    return _here()


def _here() -> Given:
    from wardkeep.facts.iptables import Iptables
    from wardkeep.facts.listeners import Listeners
    from wardkeep.facts.nftables import Nftables
    from wardkeep.fleet.local import LocalConnector
    from wardkeep.rulesets.observed import rule_set_of

    snapshot = asyncio.run(LocalConnector().ask([kind.ask for kind in (Nftables, Iptables, Listeners)]))
    rules = rule_set_of(_known(snapshot, Nftables), _known(snapshot, Iptables).in_words())
    program = replace(rules.program, name=NAME)
    return Given([replace(rules, program=program)], reached(_known(snapshot, Listeners)))


def _known(snapshot: Snapshot, kind: type[F]) -> F:
    found = snapshot.learn(kind)
    if isinstance(found, Unknown):
        raise Unavailable(found.reason, where=NAME, todo="Give a dump of the rules as FILE instead")
    return found
