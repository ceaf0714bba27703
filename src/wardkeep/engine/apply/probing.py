"""What is tried from here before a change is confirmed: real connections, each held against what the change foretells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from wardkeep.core.changes import TryConnect, TryLogin
from wardkeep.core.findings import Verdict
from wardkeep.fleet import Host

Attempts = Callable[[Iterable[TryLogin | TryConnect], Host], Any]  # as fleet.attempts.attempt_all
NOT_TRIED = "not tried"


async def probe(probes: Sequence[TryConnect], host: Host, attempts: Attempts) -> list[Any]:
    """Each probe as JSON data: what was expected, the verdict, and what was seen. Changes nothing anywhere.

    Where packets from here do not meet the host's filter as a stranger's do, nothing is tried and the reason said.
    """
    why = blind(probes, host)
    results = [result async for result in attempts([] if why else probes, host)]
    seen = [(NOT_TRIED, why)] * len(probes) if why else [(result.verdict, result.seen) for result in results]
    return [
        {"says": one.says, "expect": one.expect, "verdict": verdict, "seen": told}
        for one, (verdict, told) in zip(probes, seen, strict=True)
    ]


def blind(probes: Sequence[TryConnect], host: Host) -> str:
    """Why probes from here would say nothing of the host's filter; "" when they do. One of them is of the ssh port."""
    address = host.address
    if address.scheme != "ssh":
        return "Wardkeep runs on this host itself, and its packets do not come from outside"
    if host.jump:
        return "behind a jump host, whose address the packets would have"
    if address.port not in {one.port for one in probes}:
        return f"ssh is reached at port {address.port}, which is none of the host's own: the ports are translated on the way"
    return ""


def wrong_of(probed: Sequence[Mapping[str, str]]) -> str:
    """What went otherwise than foretold, or could not be seen although it was tried; "" if nothing did."""
    wrong = [one for one in probed if one["verdict"] not in (Verdict.PASS.value, NOT_TRIED)]
    return "; ".join(f"{one['says']}: {one['seen']}" for one in wrong)
