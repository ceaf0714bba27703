"""Each tool's form is read whole: what stands in the samples comes out, and spoiled ones cost no more than what is spoiled."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from scan_samples import LYNIS, NMAP, SAMPLES, SARIF, TRIVY

from wardkeep.core.errors import BadInput
from wardkeep.scans import KEYS, import_bytes
from wardkeep.scans.formats import FORMATS


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_everything_in_a_sample_comes_out(name: str) -> None:
    content, tool, expected = SAMPLES[name]
    report = import_bytes(content.encode(), name)
    assert report.tool == tool
    found = {f"{one.state} {one.id}": one.severity for one in report.results}
    if report.refused:
        found["refused"] = str(len(report.refused))
    assert found == expected
    assert report.nothing_lost
    assert all(one.raw for one in report.results)
    assert all(one.severity_source for one in report.results if one.severity not in ("", "none"))


def test_every_format_has_a_sample() -> None:
    seen = {import_bytes(content.encode()).tool for content, _, _ in SAMPLES.values()}
    for one in FORMATS:
        assert one.tool in seen or one.key in ("openscap", "sarif")


def test_a_place_in_the_file_is_told() -> None:
    report = import_bytes(TRIVY.encode())
    assert report.results[0].raw == "/Results/0/Vulnerabilities/0"
    assert [(one.raw, one.why) for one in report.refused] == [
        ("/Results/0/Vulnerabilities/1", "a vulnerability without its id"),
        ("/Results/4/NewKind", "a list that this reader does not know"),
    ]
    flaw = next(one for one in import_bytes(NMAP.encode()).results if one.id == "CVE-2099-1")
    assert (flaw.target, flaw.location, flaw.raw) == ("192.0.2.7 (app)", "22/tcp", "line 7: table")
    assert import_bytes(SARIF.encode()).results[1].location == "app.py:7"


def test_a_result_that_names_nothing_is_no_pass() -> None:
    empty = import_bytes(json.dumps({"SchemaVersion": 2, "ArtifactName": "x", "Results": [{}]}).encode())
    assert (empty.results, [one.why for one in empty.refused]) == ([], ["does not say what was looked at"])
    nothing = import_bytes(json.dumps({"SchemaVersion": 2, "ArtifactName": "x"}).encode())
    assert (nothing.results, nothing.items) == ([], 0)


def test_a_secret_stays_in_its_file() -> None:
    assert "hunter2secret" not in repr(import_bytes(TRIVY.encode()))


def test_a_report_that_was_cut_is_not_taken_for_whole() -> None:
    whole = LYNIS.partition("report_datetime_end")[0]
    assert [one.raw for one in import_bytes(whole.encode()).refused] == ["the end"]
    unfinished = NMAP.replace('<runstats><finished exit="success"/></runstats>', "")
    assert [one.why for one in import_bytes(unfinished.encode()).refused] == ["the scan has no end"]
    with pytest.raises(BadInput, match="is no XML"):
        import_bytes(NMAP[:-20].encode())


def test_terminal_commands_in_foreign_text_are_taken_out() -> None:
    hostile = TRIVY.replace("zlib1g", "zlib\\u001b[2J\\u202e1g")
    assert import_bytes(hostile.encode()).results[0].component == "zlib[2J1g"


def test_the_tool_can_be_named_and_must_then_be_right() -> None:
    assert import_bytes(b"null", tool="trivy").notes
    assert import_bytes(b"[]", tool="pip-audit").items == 0
    with pytest.raises(BadInput, match="holds nothing that tells which tool wrote it"):
        import_bytes(b"[]")
    with pytest.raises(BadInput, match="is no report of trivy"):
        import_bytes(LYNIS.encode(), tool="trivy")
    assert len(KEYS) >= 13


JSON_SAMPLES = sorted(
    name for name, (content, _, _) in SAMPLES.items() if content[0] in "{[" and name != "nuclei"
)


def read(data: bytes) -> tuple[str, bool]:
    """The refusal's line, "" when it was read; and whether anything was lost."""
    try:
        report = import_bytes(data)
    except BadInput as e:
        return e.line(), False
    return "", not report.nothing_lost


def spoil(value: Any, rnd: random.Random) -> Any:
    """The same value with one place replaced by another kind of thing."""
    if isinstance(value, dict) and value and rnd.random() < 0.9:
        key = rnd.choice(sorted(value))
        return {**value, key: spoil(value[key], rnd)}
    if isinstance(value, list) and value and rnd.random() < 0.9:
        place = rnd.randrange(len(value))
        return [spoil(one, rnd) if n == place else one for n, one in enumerate(value)]
    return rnd.choice([None, 7, "text", [], {}, [None], {"x": 1}, True, "\ud800"])


@pytest.mark.parametrize("name", JSON_SAMPLES)
def test_a_spoiled_report_is_read_or_refused_and_loses_nothing(name: str) -> None:
    whole = json.loads(SAMPLES[name][0])
    rnd = random.Random(name)
    for _ in range(300):
        spoiled = json.dumps(spoil(spoil(whole, rnd), rnd)).encode()
        line, lost = read(spoiled)
        assert "report this as a defect" not in line, spoiled
        assert "\n" not in line
        assert not lost, spoiled


XML_SAMPLES = sorted(name for name, (content, _, _) in SAMPLES.items() if content[0] == "<")


@pytest.mark.parametrize("name", XML_SAMPLES)
def test_a_spoiled_xml_report_is_read_or_refused(name: str) -> None:
    content = SAMPLES[name][0]
    rnd = random.Random(name)
    for _ in range(200):
        at = rnd.randrange(len(content))
        spoiled = (
            content[:at] + rnd.choice(["", "<", "&x;", '"', "x", "/>"]) + content[at + rnd.randrange(12) :]
        )
        line, lost = read(spoiled.encode())
        assert "report this as a defect" not in line, spoiled
        assert not lost, spoiled
