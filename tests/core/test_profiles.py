"""The numbers of both profiles, as `responsibilities.md` lists them, and how operators override them."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardkeep.controls.matrix import ROWS
from wardkeep.core.errors import BadInput
from wardkeep.core.profiles import (
    HIPAA,
    PROFILES,
    PROPOSED_2025,
    Numbers,
    cadence,
    months,
    profile,
    read_duration,
    show_duration,
)

# what → (default of `hipaa`, `hipaa-proposed-2025`), as the product promises them
PROMISED = {
    "patch_critical": ("15 d", "15 d"),
    "patch_high": ("30 d", "30 d"),
    "vulnerability_scan": ("24 h", "6 months"),
    "vulnerability_review": ("24 h", "24 h"),
    "penetration_test": ("12 months", "12 months"),
    "backup_age": ("24 h", "48 h"),
    "restore_drill": ("1 month", "1 month"),
    "restore_critical": ("72 h", "72 h"),
    "failover_drill": ("3 months", "12 months"),
    "intrusion_drill": ("7 d", "12 months"),
    "firewall_audit": ("1 month", "12 months"),
    "access_review": ("90 d", "12 months"),
    "access_end": ("1 h", "1 h"),
    "key_rotation": ("12 months", "12 months"),
    "admin_mfa": (True, True),
    "encryption": (True, True),
    "tls_at_least": ("1.2", "1.2"),
    "inventory_review": ("12 months", "12 months"),
    "compliance_audit": ("12 months", "12 months"),
    "records_kept": ("6 years", "6 years"),
}


def shown(numbers: Numbers, name: str) -> object:
    value = getattr(numbers, name)
    return show_duration(value) if isinstance(value, timedelta) else value


@pytest.mark.parametrize("name", PROMISED)
def test_every_number_is_the_promised_one(name: str) -> None:
    assert (shown(HIPAA.numbers, name), shown(PROPOSED_2025.numbers, name)) == PROMISED[name]


def test_no_number_is_unpromised_and_each_says_what_it_means() -> None:
    assert {f.name for f in fields(Numbers)} == set(PROMISED)
    assert all(f.metadata["doc"] and f.metadata["unit"] for f in fields(Numbers))


def test_the_proposed_rule_says_wherever_it_is_named_that_it_is_not_law() -> None:
    assert not PROPOSED_2025.is_law
    assert "90 FR 898" in PROPOSED_2025.title
    assert "not law" in PROPOSED_2025.title


def test_an_override_changes_one_number_only() -> None:
    changed = HIPAA.override({"backup_age": "12 h", "tls_at_least": "1.3", "admin_mfa": False}).numbers
    assert (changed.backup_age, changed.tls_at_least, changed.admin_mfa) == (
        timedelta(hours=12),
        "1.3",
        False,
    )
    assert changed.patch_high == HIPAA.numbers.patch_high


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"backup_ages": "12 h"}, "no number is called `backup_ages`. Did you mean `backup_age`?"),
        ({"backup_age": "soon"}, "backup_age: `soon` is no duration. Write for example `24 h`"),
        ({"backup_age": "0 h"}, "backup_age: `0 h` is no duration"),
        ({"backup_age": timedelta()}, "is no duration"),
        ({"admin_mfa": "maybe"}, "admin_mfa: `maybe` does not fit. Write `true` or `false`."),
        ({"tls_at_least": "1.0"}, 'tls_at_least: `1.0` does not fit. Write "1.2" or "1.3".'),
    ],
)
def test_a_wrong_override_gets_one_line_with_what_to_write(changes: dict[str, object], line: str) -> None:
    with pytest.raises(BadInput) as raised:
        HIPAA.override(changes, where="wardkeep.toml:7")
    assert raised.value.line().startswith("wardkeep.toml:7: ")
    assert line in raised.value.line()


def test_a_wrong_profile_names_the_nearest() -> None:
    assert profile("hipaa") is HIPAA
    with pytest.raises(BadInput, match="Did you mean `hipaa-proposed-2025`"):
        profile("hipaa-proposed")


@pytest.mark.parametrize(
    ("text", "days"), [("daily", 1), ("weekly", 7), ("monthly", 31), ("quarterly", 92), ("yearly", 366)]
)
def test_words_for_spans_are_the_longest_in_the_calendar(text: str, days: int) -> None:
    assert read_duration(text) == timedelta(days=days)


@given(st.integers(min_value=1, max_value=8 * 10**9))
def test_what_is_shown_can_be_read_back(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    text = show_duration(span)
    if len(text.split()[0]) <= 5:  # the reader takes five digits, more than a century in days
        assert read_duration(text) == span


def test_six_years_hold_two_leap_days() -> None:
    assert months(72).days == 6 * 365 + 2


def test_every_row_is_looked_at_daily_and_drilled_unless_it_is_the_customers() -> None:
    for held in PROFILES.values():
        for row in ROWS:
            due = cadence(row.id, held.numbers)
            assert due.observe <= timedelta(days=1)
            assert (due.drill is None) == (row.party == "customer")
    assert cadence("backups", HIPAA.numbers).drill == HIPAA.numbers.restore_drill
    assert cadence("redundancy", PROPOSED_2025.numbers).drill == months(12)
    assert cadence("backups", HIPAA.numbers.override({"backup_age": "1 h"})).observe == timedelta(hours=1)
