"""The drill: break something harmless, see that the very same look notices, and put it back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from wardkeep.controls.operating_system.clock import clock_is_right
from wardkeep.controls.operating_system.row import control
from wardkeep.controls.operating_system.updates import updates_are_automatic
from wardkeep.controls.operating_system.upkeep import no_failed_unit
from wardkeep.core.changes import OnHost, Step
from wardkeep.facts.auto_updates import AutoUpdates
from wardkeep.facts.units import Units

UNIT = "wardkeep-drill.service"
SKEW = 300
# apt reads a copy of its own configuration with one file more; the real one is not touched.
STAGED = r"""
staged=$(mktemp -d) || exit
trap 'rm -rf "$staged"' EXIT
mkdir "$staged/parts" && cp -L /etc/apt/apt.conf.d/* "$staged/parts/" || exit
printf 'APT::Periodic::Unattended-Upgrade "0";\n' >"$staged/parts/zzz-wardkeep-drill"
printf 'Dir::Etc::parts "%s/parts";\n' "$staged" >"$staged/apt.conf"
export APT_CONFIG="$staged/apt.conf"
"""


@control.drilled_by
def break_and_notice(units: Units, updates: AutoUpdates, now: datetime) -> Iterator[Step]:
    """Each step runs the question of a fact itself, so that what is proved is the look and not a copy of it."""
    if units.has_systemd:
        yield OnHost(
            "A service fails, and the look at services names it",
            f"systemd-run -q --unit={UNIT} -p Type=oneshot /bin/false 2>/dev/null\n{Units.ask.script}",
            no_failed_unit.id,
            expect_text=f"|{UNIT}",
            undo=f"systemctl reset-failed {UNIT} 2>/dev/null || true",
            timeout=30,
        )
    yield OnHost(
        "Automatic upgrades are switched off in a copy of apt's configuration, and it says so",
        STAGED + AutoUpdates.ask.script,
        updates_are_automatic.id,
        expect_text='|APT::Periodic::Unattended-Upgrade "0";',
        timeout=30,
    )
    yield OnHost(
        f"The clock is within {SKEW // 60} minutes of Wardkeep's",
        f'off=$(($(date +%s) - {int(now.timestamp())})); echo "off by $off s"; [ "$off" -gt -{SKEW} ] && [ "$off" -lt {SKEW} ]',
        clock_is_right.id,
        expect_text="off by",
    )
