"""The policies that the pages of the two rows show are accepted as they stand, and mean something."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wardkeep.controls import all_controls, control
from wardkeep.engine.config import default_policy, read_config

PAGES = Path(__file__).parents[2] / "docs" / "controls"


@pytest.mark.parametrize("row", ["system_access", "operating_system"])
def test_the_policy_a_page_shows_is_read(row: str, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```toml\n(.*?)```", (PAGES / f"{row}.md").read_text(), re.S)
    (tmp_path / "wardkeep.toml").write_text(shown)
    config = read_config(tmp_path / "wardkeep.toml", all_controls())
    assert config.policy(control(row)) != default_policy(control(row), config.numbers)
