"""The declared allowlist held against the row: every kind of neglect has its finding, and a healthy list passes."""

from __future__ import annotations

import json
from datetime import timedelta

from recorded_rows import NOW, text_of, told, verdicts

from wardkeep.allowlists import KINDS
from wardkeep.controls import firewall_audit

HEALTHY, NEGLECTED, NONE = (f"platform-allowlist-{name}" for name in ("healthy", "neglected", "none"))
RULES = {
    "allowlist_in_time",
    "allowlist_owned",
    "allowlist_reviewed",
    "campaign_completed",
    "allowlist_narrow",
    "allowlist_tidy",
}


def about(*names: str, **more: object) -> dict[str, str]:
    found = told("firewall_audit", *names, **more)  # type: ignore[arg-type]
    return {key: text for key, text in found.items() if key.split(" ")[0] in RULES}


def test_a_healthy_list_and_none_at_all_pass() -> None:
    assert set(verdicts("firewall_audit", HEALTHY).values()) >= {"pass"}
    assert {text.partition(":")[0] for text in about(HEALTHY).values()} == {"pass"}
    assert {key.split(" ")[0] for key in about(HEALTHY)} == RULES
    assert {text.partition(":")[0] for text in about(NONE).values()} == {"pass"}


def test_each_neglect_is_named() -> None:
    found = about(NEGLECTED)
    wide = "entry:partners: 9.9.0.0/16 → 22/tcp"
    cloud = "entry:cloud: 3.4.0.0/22 → 443/tcp"
    lab = "entry:partners: 8.8.8.0/24 → 22/tcp"
    assert found[f"allowlist_in_time {lab}"] == "fail: expired on 2026-10-31 (line 1)"
    assert found[f"allowlist_in_time {wide}"].startswith("fail: no day on which it expires")
    assert found[f"allowlist_owned {wide}"].startswith("fail: no owner; no reason; no ticket")
    assert found[f"allowlist_reviewed {lab}"].startswith("fail: last reviewed 2026-02-01")
    assert found[f"allowlist_narrow {wide}"].startswith("fail: 9.9.0.0/16 is 65,536 addresses for SSH")
    assert found[f"allowlist_narrow {cloud}"].startswith("fail: takes in 3.4.0.0/22 of cloud")
    assert "lies within 9.9.0.0/16" in found["allowlist_tidy entry:partners: 9.9.9.9 → 22/tcp"]
    assert found[f"allowlist_tidy {cloud}"].startswith("fail: denied as well by 3.4.0.0/16 for any")
    assert found["campaign_completed campaign"] == "fail: 2026-Q3 is closed incomplete: 2 of 5 left"
    assert found["allowlist_owned list:cloud"] == "pass: 1 entries, each with owner, reason and ticket"


def test_time_alone_turns_a_healthy_list() -> None:
    later = about(HEALTHY, at=NOW + timedelta(days=80))
    failing = {key.split(" ")[0] for key, text in later.items() if text.startswith("fail")}
    assert failing == {"allowlist_in_time", "allowlist_reviewed", "campaign_completed"}
    assert about(HEALTHY, policy={"allowlist_review": timedelta(days=7)})[
        "campaign_completed campaign"
    ].startswith("fail: 2026-Q4 was completed on 2026-10-20, 33 days ago")


def test_a_list_that_is_wrong_throughout_is_one_finding() -> None:
    whole = json.loads(text_of(NONE))
    whole["text"] = "\n".join(
        f'[[allow]]\nnetwork = "9.9.{n // 100}.{n % 100 * 2 + 1}"\nservice = "443/tcp"\n' for n in range(300)
    )
    found = about(platform_allowlist=json.dumps(whole))
    assert found["allowlist_owned list:default"].startswith(
        "fail: 300 of 300 entries, among them default: 9.9.0.1 →"
    )
    assert "campaign_completed campaign" in found
    assert len(found) < 10


def test_a_list_that_cannot_be_read_is_unknown() -> None:
    whole = json.loads(text_of(HEALTHY))
    whole["text"] = whole["text"].replace("8.8.4.4", "8.8.4.444")
    found = about(platform_allowlist=json.dumps(whole))
    assert {text.partition(":")[0] for text in found.values()} == {"unknown"}
    assert all("allowlist.toml:1: `8.8.4.444` is no network" in text for text in found.values())


def test_every_kind_that_needs_no_rules_of_a_host_is_looked_at() -> None:
    source = firewall_audit.allowlist.__file__ or ""
    with open(source) as file:
        text = file.read()
    elsewhere = {"no_listener", "unused", "already_permitted", "not_effective", "undeclared"}
    assert {kind for kind in KINDS if f'"{kind}"' not in text} == elsewhere
