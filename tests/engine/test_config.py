"""One readable file; a wrong key or value is one line with file, line and the nearest valid name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from wardkeep.controls import all_controls
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.engine.config import Config, read_config
from wardkeep.engine.setting_values import read_listen


@dataclass(frozen=True)
class DoorPolicy:
    allow: tuple[str, ...] = ("22/tcp from anywhere",)
    dormant_days: int = field(default=90, metadata={"number": "access_review", "unit": "d"})
    keep: timedelta = field(default=timedelta(days=1), metadata={"number": "records_kept"})
    owners: dict[str, str] = field(default_factory=dict)
    strict: bool = True


CONTROLS = (Control("door", policy=DoorPolicy), Control("window"))


def read(folder: Path, text: str, **more: object) -> Config:
    path = folder / "wardkeep.toml"
    path.write_text(text)
    return read_config(path, CONTROLS, **more)  # type: ignore[arg-type]


def test_a_missing_file_is_the_default_profile(tmp_path: Path) -> None:
    config = read_config(tmp_path / "none.toml", CONTROLS)
    assert config.profile.name == "hipaa"
    assert config.policy(CONTROLS[0]) == DoorPolicy(keep=config.numbers.records_kept)
    assert config.set_by_operator == {}


def test_numbers_of_the_profile_feed_the_policies_that_name_them(tmp_path: Path) -> None:
    config = read(tmp_path, 'profile = "hipaa-proposed-2025"\n')
    assert config.policy(CONTROLS[0]).dormant_days == 366
    config = read(tmp_path, '[numbers]\naccess_review = "30 d"\n')
    assert config.policy(CONTROLS[0]).dormant_days == 30
    assert config.set_by_operator == {"numbers.access_review": 2}


def test_a_host_may_have_its_own_policy_and_keeps_the_rest(tmp_path: Path) -> None:
    text = """
[policy.door]
strict = false
[host.app-1.policy.door]
allow = ["443/tcp from anywhere"]
"""
    config = read(tmp_path, text, known_hosts=["app-1", "db-1"])
    assert config.policy(CONTROLS[0], "app-1").allow == ("443/tcp from anywhere",)
    assert config.policy(CONTROLS[0], "app-1").strict is False
    assert config.policy(CONTROLS[0], "db-1").allow == DoorPolicy().allow


def test_the_digest_follows_what_decides_a_verdict(tmp_path: Path) -> None:
    plain = read(tmp_path, "").digest()
    assert read(tmp_path, '[console]\nlisten = "127.0.0.1:9000"').digest() == plain
    assert read(tmp_path, "[policy.door]\nstrict = false").digest() != plain


@pytest.mark.parametrize(
    ("text", "line", "said", "nearest"),
    [
        ('profil = "hipaa"', 1, "profil", "profile"),
        ('\n\nprofile = "hippa"', 3, "hippa", "`hipaa`"),
        ('[numbers]\n# a note\npatch_critcal = "9 d"', 3, "patch_critcal", "`patch_critical`"),
        ('[numbers]\npatch_critical = "soon"', 2, "soon", "15 d"),
        ("[policy.dor]\nstrict = true", 1, "dor", "`door`"),
        ("[policy.door]\nstrict = true\nalow = []", 3, "alow", "`allow`"),
        ("[policy.door]\nallow = [\n  'a', # x = 1\n]\nstrict = 'yes'", 5, "strict", "true or false"),
        ("[policy.door]\nallow = [1]", 2, "allow", "list of texts"),
        ('[console]\nurl = "javascript:alert(1)"', 2, "no address of a console", "https://"),
        ('[console]\nurl = "https://"', 2, "no address of a console", "https://"),
        ('[console]\nurl = "https://a b"', 2, "no address of a console", "https://"),
        ('[console]\nurl = "https://x.example:99999"', 2, "no address of a console", "https://"),
        ('[console]\nurl = "https://x.example/path"', 2, "no address of a console", "https://"),
        ('[console]\nurl = "http://console.example"', 2, "unencrypted", "https://"),
        ('[database]\nurl = "mysql://u:hush@x/y"', 2, "no database", "postgresql://user@host/name"),
        ('[alerts]\nurls = ["json://a.example", "hush"]', 2, "number 2 is no address", "mailto://"),
        ("[policy.door]\ndormant_days = true", 2, "dormant_days", "whole number"),
        ("policy.door.keep = 7", 1, "keep", "15 d"),
        ("policy = 3", 1, "policy", "[policy]"),
        ("[host.web.policy.door]\nstrict = true", 1, "web", "`webb`"),
        ('[cadence.door]\nobserv = "1 h"', 2, "observ", "`observe`"),
        ('[console]\nlisten = "8420"', 2, "listen", "127.0.0.1:8420"),
        ('[console]\nlisten = "127.0.0.1:70000"', 2, "listen", "127.0.0.1:8420"),
        ('[alerts]\nleast_severity = "loud"', 2, "least_severity", "medium"),
        ("[window]\n", 1, "window", "Valid:"),
        ("a = = 1", 1, "TOML", "Mend"),
        ("\na = [", 2, "TOML", "Mend"),
    ],
)
def test_a_fault_is_one_line_with_its_place_and_the_nearest_name(
    tmp_path: Path, text: str, line: int, said: str, nearest: str
) -> None:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text, known_hosts=["webb"])
    told = caught.value.line()
    assert "\n" not in told
    assert said in told
    assert nearest in told
    assert f"wardkeep.toml:{line}:" in told or f"line {line}" in told


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "wardkeep.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInput, match=r"is not UTF-8 \(byte 0\). Save it as UTF-8 text"):
        read_config(tmp_path / "wardkeep.toml", CONTROLS)


def test_a_value_that_a_row_itself_refuses_has_its_line_too(tmp_path: Path) -> None:
    path = tmp_path / "wardkeep.toml"
    path.write_text('[policy.firewall]\n\nallow = ["99999/tcp"]\n')
    with pytest.raises(
        BadInput, match=r"wardkeep.toml:3: policy.firewall.allow: `99999/tcp` is no range of ports"
    ):
        read_config(path, all_controls())


def test_an_address_to_listen_on_has_one_reading() -> None:
    assert read_listen("127.0.0.1:8420") == ("127.0.0.1", 8420)
    assert read_listen("[::1]:8420") == ("::1", 8420)
    for text in (
        "",
        "8420",
        ":8420",
        "localhost",
        "localhost:",
        "localhost:0",
        "localhost:65536",
        "a:-1",
        "a:²",
    ):
        with pytest.raises(BadInput, match="is no address and port"):
            read_listen(text)


@pytest.mark.parametrize(
    "value", ["https://console.example", "https://[2001:db8::1]:8443/", "http://localhost:9"]
)
def test_an_address_of_the_console_is_taken_as_it_is(tmp_path: Path, value: str) -> None:
    assert read(tmp_path, f'[console]\nurl = "{value}"').settings.console_url == value


def test_a_value_that_may_be_a_secret_is_not_in_its_refusal(tmp_path: Path) -> None:
    for text in ('[database]\nurl = "mysql://u:hush@x/y"', '[alerts]\nurls = ["hush"]'):
        with pytest.raises(BadInput) as refused:
            read(tmp_path, text)
        assert "hush" not in refused.value.line()


def test_brackets_without_end_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="too deep"):
        read(tmp_path, "a = " + "[" * 100_000)


def test_a_pipe_in_the_place_of_the_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "wardkeep.toml")
    with pytest.raises(BadInput, match="is no regular file"):
        read_config(tmp_path / "wardkeep.toml", CONTROLS)
