"""What listens on a host against what its firewall lets in: open doors with nothing behind, and listeners that nobody can reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wardkeep.rulesets.audit.model import Finding, finding_id, worded
from wardkeep.rulesets.audit.openings import LABELS, Openings
from wardkeep.rulesets.names import PROTOCOL_NAMES


@dataclass(frozen=True, slots=True)
class Socket:
    """A socket that waits on more than loopback: `protocol` 6 or 17, `families` those whose packets reach it."""

    protocol: int
    port: int
    families: tuple[int, ...]
    program: str = ""


def against(looked: Openings, sockets: Sequence[Socket]) -> Iterator[Finding]:
    """Differences between the openings of the input route and the sockets."""
    held = {(family, s.protocol, s.port): s for s in sockets for family in s.families}
    seen = {(o.family, o.protocol, o.port): o for o in looked.found if o.route == "input"}
    for key, opening in sorted(seen.items()):
        family, protocol, port = key
        about = tuple(map(str, key))
        label = f"{port}/{PROTOCOL_NAMES[protocol]} over IPv{family}"
        if key in held:
            if opening.anyone is None:
                what = f"{held[key].program or 'a program'} listens on {label}, and the firewall lets nobody in to it"
                fix = "Stop it, bind it to loopback, or open the port to whom it serves"
                yield Finding(
                    finding_id("listening", "shut", *about), "listening", "info", what, (), None, fix
                )
        elif (
            opening.anyone
            and opening.anyone.sure
            and opening.anyone.rule
            and (family, "input") not in looked.odd
        ):
            what = f"the firewall opens {label}, and nothing listens there"
            yield Finding(
                finding_id("listening", "open", *about), "listening", "low", what, (opening.anyone.rule,),
                worded(opening.anyone.packet), "Close it until something needs it",
            )  # fmt: skip
    for (family, protocol, port), socket in sorted(held.items()):
        if (family, "input") in looked.odd and (protocol, port) not in LABELS:
            sure = looked.odd[family, "input"].sure
            open_ = (
                "every port is open"
                if sure
                else "every port may be open: a match that is not modelled decides"
            )
            what = f"{socket.program or 'a program'} listens on {port}/{PROTOCOL_NAMES[protocol]} over IPv{family}, where {open_}"
            about = (str(family), str(protocol), str(port))
            yield Finding(
                finding_id("listening", "bare", *about),
                "listening",
                "medium" if sure else "low",
                what,
                (),
                None,
                "Filter what comes in",
                sure,
            )
