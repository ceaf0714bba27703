"""A webhook and a mail server on loopback, which can be told to refuse."""

from __future__ import annotations

import http.server
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Webhook(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.bodies: list[str] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"json://bob:pa55word@127.0.0.1:{self.server_address[1]}/hook/s3cret-token"


class _Hook(http.server.BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.server.status == 200:
            self.server.bodies.append(body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class MailServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.messages: list[str] = []
        self.refuse = False

    @property
    def url(self) -> str:
        port = self.server_address[1]
        return (
            f"mailto://127.0.0.1:{port}?from=wk@example.test&to=sec@example.test&mode=insecure&smtp=127.0.0.1"
        )


class _Mail(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs to deliver one message."""

    server: MailServer

    def handle(self) -> None:
        self._say(220, "ready")
        while line := self.rfile.readline():
            verb = line[:4].upper().strip()
            if verb == b"EHLO":
                self._say(250, "hello")
            elif verb == b"MAIL" and self.server.refuse:
                self._say(451, "come later")
            elif verb == b"DATA":
                self._say(354, "go on")
                text = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    text.append(line.decode())
                self.server.messages.append("".join(text))
                self._say(250, "taken")
            elif verb == b"QUIT":
                self._say(221, "bye")
                return
            else:
                self._say(250, "ok")

    def _say(self, code: int, text: str) -> None:
        self.wfile.write(f"{code} {text}\r\n".encode())


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
