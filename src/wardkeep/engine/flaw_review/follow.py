"""After an act of a reviewer: the row's findings follow at once, not at the next cycle."""

from __future__ import annotations

from wardkeep.core.facts import PLATFORM
from wardkeep.engine.assess import questions
from wardkeep.engine.cycle import Checked, record_looks
from wardkeep.engine.flaw_review import ROW
from wardkeep.engine.platform import Platform
from wardkeep.engine.platform_facts import ask_platform


def look_at_row(platform: Platform, actor: str = "engine") -> Checked:
    """Assess this row alone, about the platform."""
    controls = [control for control in platform.controls if control.id == ROW]
    looked, _ = record_looks(
        platform, actor, [ask_platform(platform, questions(controls, PLATFORM))], controls
    )
    return looked[0]
