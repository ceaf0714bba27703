"""Files made to do harm are refused in one line, and cost no more memory than was said."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from scan_samples import NMAP, TRIVY

from wardkeep.core.errors import BadInput
from wardkeep.scans import import_file
from wardkeep.scans.opening import LIMIT, MIB

LAUGHS = """<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY a "haha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><nmaprun>&c;</nmaprun>"""
ELSEWHERE = (
    '<?xml version="1.0"?><!DOCTYPE nmaprun [<!ENTITY x SYSTEM "file:///etc/passwd">]><nmaprun>&x;</nmaprun>'
)
DEFAULTS = '<!DOCTYPE nmaprun [<!ATTLIST host note CDATA "' + "x" * 5000 + '">]><nmaprun><host/></nmaprun>'


def refused(folder: Path, content: bytes, name: str = "report", limit: int = LIMIT) -> str:
    path = folder / name
    path.write_bytes(content)
    with pytest.raises(BadInput) as told:
        import_file(path, limit=limit)
    line = told.value.line()
    assert "\n" not in line
    assert "defect" not in line
    return line


@pytest.mark.parametrize("content", [LAUGHS, ELSEWHERE, DEFAULTS])
def test_a_document_that_declares_entities_is_refused(tmp_path: Path, content: str) -> None:
    assert "is not read" in refused(tmp_path, content.encode()) or "are not read" in refused(
        tmp_path, content.encode()
    )


def test_a_zip_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.json", b" " * (40 * MIB))
    tracemalloc.start()
    line = refused(tmp_path, packed.getvalue(), limit=MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "larger than 1 MiB" in line
    assert peak < 12 * MIB


def test_a_gzip_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in refused(tmp_path, gzip.compress(b" " * (40 * MIB)), limit=MIB)


def test_a_name_that_points_outside_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for name in ("../evil.json", "/etc/evil.json", "a\\..\\..\\evil.json"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(name, TRIVY)
        assert "points outside" in refused(inside, packed.getvalue())
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "report"]


def test_reports_in_archives_are_read_without_unpacking(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("deep/trivy.json", TRIVY)
        archive.writestr("nmap.xml", NMAP)
    assert [one.tool for one in import_file(tmp_path / "both.zip")] == ["Trivy", "nmap"]
    (tmp_path / "one.json.gz").write_bytes(gzip.compress(TRIVY.encode()))
    assert import_file(tmp_path / "one.json.gz")[0].items == 7
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["both.zip", "one.json.gz"]


def test_what_is_too_large_or_too_deep_is_refused(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in refused(tmp_path, b"[" + b"1," * MIB + b"1]", limit=MIB)
    assert "nested too deeply" in refused(tmp_path, b'{"a":' * 200_000)
    assert "more than 3,000,000 values" in refused(tmp_path, b"[" + b"{}," * 2_000_000 + b"{}]")
    assert "nested too deeply" in refused(tmp_path, b"<nmaprun>" + b"<a>" * 5000)
    assert "a number is too long" in refused(tmp_path, b'{"a": ' + b"9" * 100_000 + b"}")


def test_a_file_of_a_gigabyte_costs_no_more_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.write(b'{"SchemaVersion": 2, "ArtifactName": "')
        file.truncate(1 << 30)  # a hole: a gigabyte to read, nothing on the disk
    tracemalloc.start()
    with pytest.raises(BadInput, match="larger than 2 MiB"):
        import_file(path, limit=2 * MIB)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * MIB


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "is no text"),
        (b"PK\x03\x04broken", "damaged or locked zip"),
        (b"\x1f\x8bbroken", "damaged gzip"),
        (b"BZh91AY", "is a bzip2 archive"),
        (b'{"a": }', "is no JSON: Expecting value at line 1"),
        (b'{"a": 1}', "no report of a tool known here"),
        (b"<html></html>", "no report of a tool known here"),
        (b"a,b\n1,2\n", "no report of a tool known here"),
        (b"<a", "is no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "is no XML"),
    ],
)
def test_what_is_no_report_is_said_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in refused(tmp_path, content)


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "absent"):
        with pytest.raises(BadInput, match=r"no regular file|cannot be read"):
            import_file(path)


def test_other_encodings_are_read(tmp_path: Path) -> None:
    (tmp_path / "sixteen.json").write_bytes(TRIVY.encode("utf-16"))
    assert import_file(tmp_path / "sixteen.json")[0].tool == "Trivy"
    told_otherwise = '<?xml version="1.0" encoding="utf-8"?>' + NMAP.partition("?>")[2]
    (tmp_path / "sixteen.xml").write_bytes(told_otherwise.encode("utf-16"))
    assert import_file(tmp_path / "sixteen.xml")[0].tool == "nmap"
    (tmp_path / "windows.json").write_bytes(json.dumps({"SchemaVersion": 2, "ArtifactName": "Gebäude"}, ensure_ascii=False).encode("cp1252"))  # fmt: skip
    assert import_file(tmp_path / "windows.json")[0].target == "Gebäude"
