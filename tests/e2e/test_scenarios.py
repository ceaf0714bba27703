"""The scenarios of tests/scenarios, each on the versions of Debian that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.e2e.telling import play
from tests.staging import needs_of
from tests.transcripts import Transcript, all_transcripts

from wardkeep.lab import Lab

pytestmark = pytest.mark.e2e
PLAYED = [(one, debian) for one in all_transcripts() for debian in one.debian]


@pytest.mark.parametrize(
    ("transcript", "debian"), PLAYED, ids=[f"{one.name}-{debian}" for one, debian in PLAYED]
)
def test_it_goes_as_it_is_told(
    transcript: Transcript, debian: str, lab_for: Callable[[Iterable[str]], Lab], tmp_path: Path
) -> None:
    lab = lab_for(needs_of(state for states in transcript.hosts.values() for state in states))
    wrong = play(transcript, lab, debian, tmp_path)
    assert not wrong, f"{transcript.name} on Debian {debian}\n{wrong}"
