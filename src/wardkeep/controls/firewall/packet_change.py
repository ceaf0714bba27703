"""What a change of our own table means, told as packets: whose fate changes, with a packet for each kind.

Of packets of people who are in no ban set and keep within their rates; what foreign tables do with them besides is as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wardkeep.controls.firewall.allowed import Permit
from wardkeep.controls.firewall.declared_program import ENTRY, declared_program, kernel_program
from wardkeep.controls.firewall.own_table import TABLE
from wardkeep.core.changes import PacketFate
from wardkeep.core.errors import WardkeepError
from wardkeep.facts.nftables import Nftables
from wardkeep.packets.program import Chain, Program, Unknown, Verdict

if TYPE_CHECKING:
    from wardkeep.packets.difference import Case, Difference

WORK = 2e8  # some seconds at the very worst
SHOWN = 2  # packets for each direction, in the sentence
LISTED = 40  # kinds of packets, in the list


def change_in_packets(rules: Nftables, permit: Permit) -> tuple[str, tuple[PacketFate, ...]]:
    """What the declared table closes and opens that is not so now: one sentence, and the kinds of packets one by one.

    ("", ()) where that cannot be told.
    """
    try:
        kernel, declared = kernel_program(rules), declared_program(permit)
        found = packet_difference(kernel, declared)
    except WardkeepError:
        return "", ()
    known = (kernel,) if kernel else ()
    words = {rule.id: rule.text for one in (*known, declared) for chain in one.chains for rule in chain.rules}
    cases = sorted(found.cases, key=lambda case: (not case.opens, *_rank(case, found.cases)))
    return _told(found), tuple(_fate(case, words) for case in cases[:LISTED])


def _fate(case: Case, words: Mapping[str, str]) -> PacketFate:
    return PacketFate(
        case.witness.text(),
        case.opens,
        case.before,
        case.after,
        words.get(case.old_rule, case.old_rule),
        words.get(case.new_rule, case.new_rule),
    )


def packet_difference(kernel: Program | None, declared: Program) -> Difference:
    """The exact difference. `kernel` None: no table of ours, everything goes through it."""
    # Every command imports the controls; numpy, which this needs, takes longer to import than most of them to run.
    from wardkeep.packets.difference import difference

    nothing = Program((Chain(f"{TABLE} input", (), replace(ENTRY, policy="accept")),))
    return difference(decided(kernel or nothing), decided(declared), work=WORK, kinds=True)


def decided(program: Program) -> Program:
    """Without the rules of our own table that drop who is banned or too fast: they are the same before and after a change,
    and hang on the moment."""

    def hangs(body: Iterable[object]) -> bool:
        parts = list(body)
        return any(isinstance(part, Unknown) for part in parts) and parts[-1] == Verdict("drop")

    def kept(chain: Chain) -> Chain:
        if not chain.id.startswith(f"{TABLE} "):
            return chain
        return replace(chain, rules=tuple(rule for rule in chain.rules if not hangs(rule.body)))

    return replace(program, chains=tuple(kept(chain) for chain in program.chains))


def _told(found: Difference) -> str:
    if found.equal:
        return "No packet's fate changes"
    closes = [case for case in found.cases if not case.opens and "accept" in case.before]
    opens = [case for case in found.cases if case.opens]
    told = [f"closes {_some(closes)}" if closes else "closes nothing"]
    told.append(f"opens {_some(opens)}" if opens else "opens nothing")
    more = "" if found.complete else "; there are more, or they could not be followed to the end"
    return f"It {' and '.join(told)}{more}"


def _some(cases: list[Case]) -> str:
    """The packets that people ask about first: new connections over TCP and UDP."""

    shown = [_packet(case) for case in sorted(cases, key=lambda case: _rank(case, cases))[:SHOWN]]
    rest = len(cases) - len(shown)
    return ", ".join(shown) + (f" and {rest} more kind{'s' * (rest != 1)} of packets" if rest else "")


def _rank(case: Case, cases: Sequence[Case]) -> tuple[bool, bool, int]:
    told = case.witness.as_dict()
    return told.get("state") != "new", told.get("protocol") not in ("tcp", "udp"), cases.index(case)


def _packet(case: Case) -> str:
    told = case.witness.as_dict()
    port = f" to port {told['destination_port']}" if "destination_port" in told else ""
    state = "" if told.get("state") in ("new", None) else f" ({told['state']})"
    protocol = told.get("protocol") or "any protocol"
    return f"{protocol} from {told.get('source', 'anybody')}{port}{state}"
