"""The clinic's portal: a patient gives an id and a PIN and reads the record. Runs on web-1: standard library and psql only."""

from __future__ import annotations

import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

# The flawed release fills `{id}` and `{pin}` into the text of its query; the fixed one lets psql quote them as values.
RECORD = Path(__file__).with_name("record.sql").read_text()


def ask(query: str, **values: str) -> str:
    """What the database answers, one line a row. Raises SubprocessError when it does not."""
    given = [word for name, value in values.items() for word in ("-v", f"{name}={value}")]
    command = ["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *given]
    return subprocess.run(command, input=query, capture_output=True, text=True, timeout=20, check=True).stdout


class Portal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer /health and /record."""
        place = urlsplit(self.path)
        asked = {name: given[0] for name, given in parse_qs(place.query).items()}
        number, pin = asked.get("id", ""), asked.get("pin", "")
        try:
            if place.path == "/health":
                count = ask("select count(*) from patients").strip()
                self._answer(200, f"ok: {count} patients\n")
            elif place.path == "/record":
                query = RECORD.replace("{id}", number).replace("{pin}", pin)
                found = ask(query, id=number, pin=pin)
                self._answer(200 if found else 403, found or "no record for this id and PIN\n")
            else:
                self._answer(404, "there is /health and /record\n")
        except (OSError, ValueError, subprocess.SubprocessError):
            self._answer(503, "the database does not answer that\n")

    def _answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *words: object) -> None:
        """Nothing: the line of a request holds the patient's PIN."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("", int(os.environ.get("PORTAL_PORT", "8080"))), Portal)
    print(f"listening on {server.server_port}", flush=True)
    server.serve_forever()
