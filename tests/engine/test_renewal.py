"""The advisories are renewed each day by a serving platform, in a process of its own, and only where the network was let in once."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.advisories.small_feeds import write_feeds

from wardkeep.advisories.updating import FETCHED, FILE, update_from_folder
from wardkeep.engine.folder import ADVISORIES
from wardkeep.engine.renewal import renew, renewal_due

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


def test_only_what_came_by_the_network_is_renewed_by_it(tmp_path: Path) -> None:
    assert not renewal_due(tmp_path, NOW)
    update_from_folder(write_feeds(tmp_path / "feeds"), tmp_path / ADVISORIES, NOW)
    assert not renewal_due(tmp_path, NOW + timedelta(days=9))
    (tmp_path / ADVISORIES / FETCHED).mkdir()
    assert not renewal_due(tmp_path, NOW + timedelta(hours=19))
    assert renewal_due(tmp_path, NOW + timedelta(hours=21))
    (tmp_path / ADVISORIES / "last-update.json").write_text("spoiled")
    assert renewal_due(tmp_path, NOW)


def test_a_renewal_tells_its_problems(tmp_path: Path) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=write_feeds(tmp_path / "served")))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        (tmp_path / ADVISORIES).mkdir()
        address = f"http://127.0.0.1:{server.server_port}"
        names = {name: f"{address}/{name}" for name in ("debian-tracker.json", "kev.json", "absent.json")}
        (tmp_path / ADVISORIES / "feeds.json").write_text(json.dumps(names))
        done = renew(tmp_path)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert done["exit"] == 1, done
    assert ["answered 404" in problem for problem in done["problems"]] == [True]
    assert (tmp_path / ADVISORIES / FILE).is_file()
    assert not renewal_due(tmp_path, datetime.now(UTC))
    gone = renew(tmp_path / ADVISORIES / FILE)  # no folder at all
    assert gone["exit"] != 0
    assert gone["problems"] != []
