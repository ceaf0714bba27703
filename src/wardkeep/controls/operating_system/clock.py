"""Does the clock follow a source of time, and is it right?"""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.operating_system.row import Policy, control
from wardkeep.core.changes import Act, Blocked, Change
from wardkeep.core.findings import Seen, Severity, fails, holds, passes, unsure
from wardkeep.facts.timesync import TimeSync

SUBJECT = "clock"


@control.rule(
    says="The clock follows a source of time.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(8)": "The times in records can be compared between hosts only if their clocks agree.",
        "164.308(a)(1)(ii)(B)": "Certificates, codes and tickets are judged by the clock.",
    },
)
def clock_is_synchronised(time: TimeSync, policy: Policy) -> Iterator[Seen]:
    limit = policy.clock_offset.total_seconds()
    if time.container and not time.synchronised:
        said = f"{time.about}; the clock belongs to the machine that runs this {time.container} container"
        yield unsure(SUBJECT, said, "Look at that machine's clock.")
    elif not time.synchronised:
        todo = "Run `wardkeep plan` for this host, or look at your time daemon: `chronyc sources`, `timedatectl`."
        yield fails(SUBJECT, f"not synchronised: {time.about}", todo)
    elif time.offset is None:
        yield passes(SUBJECT, f"the kernel says synchronised ({time.about}); no daemon told the offset")
    else:
        said = f"{time.source}: {time.about}, offset {time.offset * 1000:+.3f} ms"
        yield holds(
            abs(time.offset) <= limit, SUBJECT, said, f"Wanted at most {limit:g} s: see `chronyc sources`."
        )


@clock_is_synchronised.mend
def synchronise_clock(time: TimeSync, failing: list[Seen]) -> Iterator[Change]:
    rule = clock_is_synchronised.id
    for seen in failing:
        if time.source == "chrony" or time.synchronised:
            says, reason = (
                "Change the source of time",
                f"{time.source or 'the daemon'} runs, and its sources do not serve",
            )
            todo = "Name servers that this host can reach in its configuration."
            yield Blocked(says, reason, todo, rule, seen.subject)
        elif time.source in ("kernel", "timesyncd"):
            yield Act(
                "Start systemd's time service",
                "timedatectl set-ntp true",
                "timedatectl set-ntp false",
                rule,
                seen.subject,
            )
        else:
            yield Act(
                "Install chrony",
                "DEBIAN_FRONTEND=noninteractive apt-get -y install chrony",
                "DEBIAN_FRONTEND=noninteractive apt-get -y remove chrony",
                rule,
                seen.subject,
            )


@control.rule(
    says="The clock agrees with Wardkeep's.",
    severity=Severity.HIGH,
    serves={
        "164.308(a)(8)": "Two clocks that disagree tell that one of them is wrong, whatever its daemon says.",
    },
)
def clock_is_right(time: TimeSync, policy: Policy, skew: tuple[float, float] | None) -> Iterator[Seen]:
    limit, by = policy.clock_skew.total_seconds(), f"kept by {time.source or 'nobody'}"
    if skew is None:
        yield unsure(SUBJECT, f"the collector told no time ({by})", "Look again; if it stays, report it.")
        return
    least, most = skew
    said = f"{least:+.0f} to {most:+.0f} s from Wardkeep's ({by})"
    if -limit <= least and most <= limit:
        yield passes(SUBJECT, said)
    elif most < -limit or limit < least:
        yield fails(SUBJECT, said, "Find out which of the two is wrong: `timedatectl` on both.")
    else:
        slow = f"the way to the host took {most - least:.0f} s, so that its clock is known only to be {said}"
        yield unsure(SUBJECT, slow, "Look again when the host answers quicker.")


clock_is_right.cannot_mend("which of the two clocks is wrong has to be found out before one is set")
