"""A file that only a passphrase opens, written and read as a stream of any length.

    "wardkeep-sealed/1\\n"
    {"salt": base64, "scrypt": [log2 N, r, p], "chunk": bytes}\\n
    HMAC-SHA-256 of the two lines above, in hexadecimal\\n
    chunks: ChaCha20-Poly1305 of `chunk` bytes each, the last one shorter or equal and marked as last

The passphrase becomes 64 bytes by scrypt (RFC 7914): one half keys the header's HMAC, which tells a wrong passphrase from
damage, the other half the chunks. A chunk's nonce is its number and whether it is the last (the STREAM construction of
Hoang, Reyhanitabar, Rogaway and Vizár, 2015), so chunks cannot be cut off, put in another order or added.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from wardkeep.core.errors import BadInput

MAGIC = b"wardkeep-sealed/1\n"
CHUNK = 64 * 1024
TAG = 16
COST = (17, 8, 1)  # 128 MiB and about half a second: what age takes for a passphrase is one step more
MOST_COST = 20  # a file may not ask its reader for more than 1 GiB
SHORTEST = 12  # characters of a passphrase


class Sealer:
    """A writer of bytes. Call `finish` at the end: a file without its last chunk does not open."""

    def __init__(self, out: BinaryIO, passphrase: str, cost: tuple[int, int, int] = COST) -> None:
        if len(passphrase) < SHORTEST:
            raise BadInput(
                f"the passphrase has fewer than {SHORTEST} characters", todo="Take six random words."
            )
        salt = os.urandom(32)
        head = {"salt": base64.b64encode(salt).decode(), "scrypt": list(cost), "chunk": CHUNK}
        lines = MAGIC + json.dumps(head).encode() + b"\n"
        mac_key, key = _keys(passphrase, salt, cost)
        out.write(lines + _mac(mac_key, lines))
        self._out, self._cipher, self._n, self._waiting = out, ChaCha20Poly1305(key), 0, bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) > CHUNK:  # the last chunk must wait: it is marked
            self._put(bytes(self._waiting[:CHUNK]), last=False)
            del self._waiting[:CHUNK]
        return len(data)

    def finish(self) -> None:
        self._put(bytes(self._waiting), last=True)
        self._waiting.clear()

    def _put(self, data: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._n, last), data, None))
        self._n += 1


class Opener:
    """A reader of what `Sealer` wrote. Gives no byte that is not authentic.

    Raises BadInput with one line: no such file, a wrong passphrase, damage (and where), or a file that was cut short.
    """

    def __init__(self, source: BinaryIO, passphrase: str, where: str = "") -> None:
        self._where = where
        lines = source.readline(100)
        if lines != MAGIC:
            raise BadInput("this is no sealed file of Wardkeep", where=where)
        try:
            line = source.readline(1000)
            head = json.loads(line)
            salt = base64.b64decode(head["salt"], validate=True)
            n, r, p = (int(part) for part in head["scrypt"])
            self._chunk = int(head["chunk"])
            told = source.readline(100)
            if not (10 <= n <= MOST_COST and r == 8 and 1 <= p <= 4 and 1024 <= self._chunk <= 1 << 20):
                raise ValueError("limits")
        except (ValueError, KeyError, TypeError):
            raise BadInput("the head of the file is damaged", where=where) from None
        mac_key, key = _keys(passphrase, salt, (n, r, p))
        if not hmac.compare_digest(told, _mac(mac_key, lines + line)):
            raise BadInput(
                "this passphrase does not open the file", where=where, todo="Try the one it was made with."
            )
        self._source, self._cipher, self._n = source, ChaCha20Poly1305(key), 0
        self._ready, self._ended = bytearray(), False
        self._ahead = source.read(self._chunk + TAG)

    def read(self, size: int = -1) -> bytes:
        while not self._ended and (size < 0 or len(self._ready) < size):
            self._take()
        end = len(self._ready) if size < 0 else size
        given = bytes(self._ready[:end])
        del self._ready[:end]
        return given

    def finish(self) -> None:
        """Read to the end, so that a cut file is noticed even when nobody wanted its last bytes."""
        while self.read(1 << 20):
            pass

    def _take(self) -> None:
        sealed, self._ahead = self._ahead, self._source.read(self._chunk + TAG)
        last = not self._ahead
        try:
            self._ready += self._cipher.decrypt(_nonce(self._n, last), sealed, None)
        except (InvalidTag, ValueError):
            if last and self._opens_as_inner(sealed):
                raise BadInput("the file is cut short", where=self._where, todo="Copy it again.") from None
            what = "is cut short or damaged" if last else "is damaged"
            raise BadInput(f"the file {what} in chunk {self._n + 1}", where=self._where) from None
        self._n += 1
        self._ended = last

    def _opens_as_inner(self, sealed: bytes) -> bool:
        try:
            self._cipher.decrypt(_nonce(self._n, False), sealed, None)
        except (InvalidTag, ValueError):
            return False
        return True


def _keys(passphrase: str, salt: bytes, cost: tuple[int, int, int]) -> tuple[bytes, bytes]:
    n, r, p = cost
    made = Scrypt(salt=salt, length=64, n=1 << n, r=r, p=p).derive(passphrase.encode())
    return made[:32], made[32:]


def _mac(key: bytes, lines: bytes) -> bytes:
    return hmac.new(key, lines, hashlib.sha256).hexdigest().encode() + b"\n"


def _nonce(n: int, last: bool) -> bytes:
    return n.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
