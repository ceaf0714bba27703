"""Feeds that are cut, swollen, hostile or smaller than before; and the real ones beside the project, where they are."""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.advisories.small_feeds import CVE5, EPSS, KEV, LIST, OSV, TRACKER, write_feeds

from wardkeep.advisories.database import Database
from wardkeep.advisories.documents import Document, Limits, documents
from wardkeep.advisories.ecosystems import normal_ecosystem, normal_name, of_release
from wardkeep.advisories.feeds import FEEDS, feed_of
from wardkeep.advisories.records import in_short
from wardkeep.advisories.severity import base_score, label, label_of
from wardkeep.advisories.updating import FILE, last_update, update_by_network, update_from_folder
from wardkeep.core.errors import BadInput, Unavailable, WardkeepError

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHARED = Path(__file__).parents[3] / "shared" / "data" / "advisories"
TEXTS: dict[str, str] = {
    "debian-tracker": json.dumps(TRACKER),
    "debian-advisories": LIST,
    "osv": json.dumps(OSV),
    "kev": json.dumps(KEV),
    "epss": EPSS,
    "cve5": json.dumps(CVE5),
}


def test_every_feed_has_a_sample_and_is_recognised_as_itself() -> None:
    assert {feed.name for feed in FEEDS} == set(TEXTS)
    for name, text in TEXTS.items():
        feed = feed_of("x", text.encode())
        assert feed is not None
        assert feed.name == name
        assert list(feed.read(text.encode(), "x"))
    assert feed_of("x", b"hello") is None


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_feed_cut_anywhere_or_spoiled_is_refused_or_read_in_full_lines(name: str) -> None:
    feed = next(one for one in FEEDS if one.name == name)
    data = TEXTS[name].encode()

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(st.integers(0, len(data) - 1), st.binary(max_size=3))
    def law(at: int, put: bytes) -> None:
        try:
            records = list(feed.read(data[:at] + put, "cut"))
        except BadInput:
            return
        # Only forms made of lines can be cut and still be read; they then hold less, which the shrink check sees.
        assert name in ("debian-advisories", "epss") or not records or at + len(put) >= len(data)

    law()


def bomb(path: Path) -> None:
    path.write_bytes(gzip.compress(b"\0" * (40 << 20)))


def traversal(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../etc/cron.d/x", json.dumps(OSV[0]))


def tar_traversal(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("/etc/x.json")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"{}"))


def cut_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps(OSV[0]) * 50)
    path.write_bytes(path.read_bytes()[:-30])


def huge(path: Path) -> None:
    with path.open("wb") as file:  # a gigabyte with hardly anything on the disk
        file.write(b"{")
        os.truncate(path, 1 << 30)


def deep(path: Path) -> None:
    path.write_text('{"modified": "", "affected": ' + '{"id":[' * 20_000)


@pytest.mark.parametrize(
    ("file", "make", "words"),
    [
        ("bomb.json.gz", bomb, "swells"),
        ("up.zip", traversal, "outside of itself"),
        ("up.tar.gz", tar_traversal, "outside of itself"),
        ("cut.zip", cut_zip, "damaged"),
        ("huge.json", huge, "larger than 16 MB"),
        ("deep.json", deep, "OSV record"),
    ],
)
def test_hostile_files_are_one_clear_line(
    file: str, make: Callable[[Path], None], words: str, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    make(source / file)
    limits = Limits(one=16 << 20)
    with pytest.raises(BadInput, match=words) as told:
        update_from_folder(source, tmp_path / "db", NOW, limits=limits)
    assert "\n" not in told.value.line()
    assert not (tmp_path / "db" / FILE).exists()
    # The rest of a folder is still taken, and the refusal is told.
    write_feeds(source)
    done = update_from_folder(source, tmp_path / "db", NOW, limits=limits)
    assert done.replaced
    assert len(done.problems) == 1


def test_a_catalogue_that_was_cut_is_used_and_told(tmp_path: Path) -> None:
    source = write_feeds(tmp_path / "in")
    (source / "kev.json").write_text(json.dumps({**KEV, "count": 1273}))
    done = update_from_folder(source, tmp_path / "db", NOW)
    assert done.problems == ["kev.json: says it has 1,273 entries and has 1: it was cut"]
    assert done.replaced


def test_a_flaw_of_no_release_does_not_spoil_the_rest() -> None:
    feed = next(one for one in FEEDS if one.name == "debian-tracker")
    odd = {"a": {"CVE-2026-1": {"releases": []}}, **TRACKER}
    assert (
        len(list(feed.read(json.dumps(odd).encode(), "x")))
        == len(list(feed.read(TEXTS[feed.name].encode(), "x"))) + 1
    )


def test_links_are_not_followed(tmp_path: Path) -> None:
    write_feeds(tmp_path / "in")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "passwd.json").symlink_to("/etc/passwd")
    assert update_from_folder(tmp_path / "in", tmp_path / "db", NOW).unread == {}


def test_what_cannot_be_read_is_named_and_not_only_counted(tmp_path: Path) -> None:
    write_feeds(tmp_path / "in")
    for name, data in (("cut.json", b'{"openssl": {"CVE'), ("deep.json", b"[" * 100_000), ("none.json", b"")):
        (tmp_path / "in" / name).write_bytes(data)
    (tmp_path / "in" / "other.json").write_text("[1]")
    done = update_from_folder(tmp_path / "in", tmp_path / "db", NOW)
    assert (done.replaced, done.unread) == (True, {".json": 1})
    assert [line.partition(":")[0] for line in done.problems] == ["cut.json", "deep.json", "none.json"]
    assert all("no whole JSON" in line for line in done.problems)
    for one in (tmp_path / "in").iterdir():
        if one.name not in ("cut.json", "none.json"):
            one.unlink()
    with pytest.raises(BadInput, match=r"cut.json: is no whole JSON.*\(1 more files could not be read\)"):
        update_from_folder(tmp_path / "in", tmp_path / "db", NOW)


def test_a_shrunken_feed_keeps_the_old_database(tmp_path: Path) -> None:
    source = write_feeds(tmp_path / "in")
    update_from_folder(source, tmp_path / "db", NOW)
    before = (tmp_path / "db" / FILE).read_bytes()
    (source / "DSA.list").write_text("".join(LIST.splitlines(keepends=True)[:3]))
    done = update_from_folder(source, tmp_path / "db", NOW)
    assert not done.replaced
    assert "debian-advisories shrank from 3 to 1 entries" in done.problems
    assert (tmp_path / "db" / FILE).read_bytes() == before
    assert last_update(tmp_path / "db")["replaced"] is False
    assert update_from_folder(source, tmp_path / "db", NOW, accept_shrunken=True).replaced


def test_the_day_a_flaw_was_first_had_outlives_a_rebuild(tmp_path: Path) -> None:
    source = write_feeds(tmp_path / "in")
    for day in (0, 9):
        update_from_folder(source, tmp_path / "db", NOW + timedelta(days=day))
    assert {flaw.seen for flaw in Database(tmp_path / "db" / FILE).flaws()} == {"2026-11-22"}


def test_data_from_a_folder_are_as_old_as_they_say(tmp_path: Path) -> None:
    update_from_folder(write_feeds(tmp_path / "in"), tmp_path / "db", NOW)
    told = {one.name: one.is_stale for one in Database(tmp_path / "db" / FILE).feeds(NOW)}
    assert told["kev"] is told["epss"] is told["osv npm"] is False
    assert told["debian-advisories"] is True  # of 12 October
    # The tracker names no day: it is as old as its own file, whatever lies beside it.
    then = NOW - timedelta(days=40)
    (tracker,) = (one for one in (tmp_path / "in").iterdir() if b'"repositories"' in one.read_bytes())
    os.utime(tracker, (then.timestamp(), then.timestamp()))
    update_from_folder(tmp_path / "in", tmp_path / "db", NOW)
    states = {one.name: one for one in Database(tmp_path / "db" / FILE).feeds(NOW)}
    assert (states["debian-tracker"].taken, states["debian-tracker"].is_stale) == (then, True)
    later = Database(tmp_path / "db" / FILE).feeds(NOW + timedelta(days=90))
    assert all(one.is_stale for one in later)


def test_no_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="wardkeep vulns update"):
        Database(tmp_path / FILE)
    (tmp_path / FILE).write_bytes(b"not a database at all, but long enough to be looked at" * 20)
    with pytest.raises(Unavailable, match="cannot be read"):
        Database(tmp_path / FILE)
    with pytest.raises(BadInput, match="no file here is a feed"):
        update_from_folder(tmp_path, tmp_path / "db", NOW)


class Mirror(BaseHTTPRequestHandler):
    """Serves a folder with ETags; notes what was asked with which condition."""

    folder: Path
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        condition = self.headers.get("If-None-Match", "")
        self.asked.append((self.path, condition))
        path = self.folder / self.path.lstrip("/")
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        tag = f'"{hash(data)}"'
        self.send_response(304 if tag == condition else 200)
        self.send_header("ETag", tag)
        if tag != condition:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if tag != condition:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, type[Mirror]]]:
    handler = type("OwnMirror", (Mirror,), {"folder": write_feeds(tmp_path / "served"), "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_update_asks_only_for_what_changed(mirror: tuple[str, type[Mirror]], tmp_path: Path) -> None:
    address, handler = mirror
    folder = tmp_path / "state"
    folder.mkdir()
    names = ["debian-tracker.json", "DSA.list", "kev.json", "absent.json"]
    (folder / "feeds.json").write_text(json.dumps({name: f"{address}/{name}" for name in names}))
    first = update_by_network(folder, NOW)
    assert first.replaced
    assert [one for one in first.problems if "answered 404" in one] == first.problems != []
    handler.asked.clear()
    second = update_by_network(folder, NOW + timedelta(days=30))
    assert second.replaced
    assert {path for path, condition in handler.asked if condition} == {f"/{name}" for name in names[:3]}
    fresh = {one.name: one.is_stale for one in Database(folder / FILE).feeds(NOW + timedelta(days=30))}
    assert fresh == {"debian-tracker": False, "debian-advisories": False, "kev": False}
    # An address that no longer answers leaves its last copy, with its age.
    (handler.folder / "kev.json").unlink()
    third = update_by_network(folder, NOW + timedelta(days=90))
    assert len(third.problems) == 2
    stale = {one.name: one.is_stale for one in Database(folder / FILE).feeds(NOW + timedelta(days=90))}
    assert stale == {"debian-tracker": False, "debian-advisories": False, "kev": True}


def test_addresses_are_checked_before_anything_is_asked(tmp_path: Path) -> None:
    for text, words in (("[]", "no map"), ('{"../x": "https://e.example/"}', "holds no `/`")):
        (tmp_path / "feeds.json").write_text(text)
        with pytest.raises(BadInput, match=words):
            update_by_network(tmp_path, NOW)
    (tmp_path / "feeds.json").write_text('{"x.json": "file:///etc/passwd"}')
    with pytest.raises(WardkeepError, match="no http address"):
        update_by_network(tmp_path, NOW)


def test_documents_of_a_tar_are_bounded(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("a.json")
        member.size = 2
        archive.addfile(member, io.BytesIO(b"{}"))
    assert list(documents(path)) == [Document("x.tar!a.json", b"{}")]


def test_severities_by_the_specification() -> None:
    """Scores of the CVSS v3.1 user guide and of well-known flaws, as NVD gives them."""
    assert base_score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H") == 9.8
    assert base_score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H") == 10.0
    assert base_score("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N") == 6.4
    assert base_score("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H") == 7.8
    assert base_score("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N") == 3.1
    assert base_score("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N") == 0.0
    assert base_score("CVSS:4.0/AV:N") is None
    assert base_score("CVSS:3.1/AV:N") is None
    assert [label_of(score) for score in (9.0, 8.9, 4.0, 0.1, 0.0)] == [
        "critical",
        "high",
        "medium",
        "low",
        "",
    ]
    assert [label(text) for text in ("MODERATE", "high**", "Important", "unimportant", "")] == [
        "medium",
        "high",
        "high",
        "",
        "",
    ]


def test_a_summary_that_is_cut_says_so() -> None:
    assert in_short(" one\n line ") == "one line"
    exact = "x" * 80 + " " + "y" * 79
    assert in_short(exact) == exact
    cut = in_short(exact + "y and more")
    assert cut == "x" * 80 + "…"
    assert (len(in_short("z" * 10_000)), in_short("z" * 10_000)[-2:]) == (160, "z…")


def test_names_and_releases_are_written_one_way() -> None:
    assert normal_ecosystem("Ubuntu:22.04:LTS") == "Ubuntu:22.04"
    assert normal_ecosystem("Ubuntu:Pro:22.04:LTS") == "Ubuntu:Pro:22.04:LTS"
    assert normal_name("PyPI", "Ruamel.YAML_x") == "ruamel-yaml-x"
    assert of_release("debian", "12") == "Debian:12"
    assert of_release("alpine", "3.19.1") == "Alpine:v3.19"
    assert of_release("almalinux", "9.4") == "AlmaLinux:9"
    assert of_release("gentoo", "") == ""


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared feeds are not beside the project")
def test_the_real_feeds_are_read_without_a_word(tmp_path: Path) -> None:
    for part in ("debian", "kev"):
        done = update_from_folder(SHARED / part, tmp_path / part, NOW)
        assert done.problems == []
    for file in ("debian-osv.json", "npm-osv.json", "alpine-osv.json", "ubuntu-osv.json"):
        done = update_from_folder(SHARED / "osv" / file, tmp_path / file, NOW)
        assert done.problems == []
        assert done.documents == 1
