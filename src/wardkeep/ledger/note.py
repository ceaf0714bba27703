"""C2SP signed notes (Ed25519) and tlog checkpoints: strict to read, and one error for every malformed input."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wardkeep.core.errors import BadInput

ED25519 = b"\x01"  # the signature type of C2SP signed-note
LONGEST = 1_000_000  # bytes of a note that we are willing to read
MOST_SIGNATURES = 100


class Malformed(BadInput):
    """The note, key or checkpoint cannot be read, or no signature on it is by the expected key."""


def _name_ok(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() or ord(c) < 32 for c in name)


def _key_id(name: str, key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + key).digest()[:4]


def _base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not in the one form")
    return data


@dataclass(frozen=True, slots=True)
class Verifier:
    """A name and an Ed25519 public key (32 bytes)."""

    name: str
    key: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `name+hash+base64`, the verifier-key string of C2SP signed-note."""
        try:
            name, key_id, rest = text.split("+", 2)
            data = _base64(rest)
            if _name_ok(name) and len(data) == 33 and data[:1] == ED25519:
                made = cls(name, data[1:])
                if made.key_id.hex() == key_id:
                    return made
        except (ValueError, binascii.Error):
            pass
        raise Malformed("not a verifier key", todo="It looks like name+0123abcd+AV…")

    @property
    def key_id(self) -> bytes:
        return _key_id(self.name, self.key)

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(ED25519 + self.key).decode()}"

    def open(self, raw: bytes) -> str:
        """The text of a note that this key signed. Raises Malformed otherwise. Other keys' signatures are passed over."""
        text, signatures = read_note(raw)
        for name, key_id, signature in signatures:
            if name == self.name and key_id == self.key_id:
                try:
                    Ed25519PublicKey.from_public_bytes(self.key).verify(signature, text.encode())
                except InvalidSignature:
                    break
                return text
        raise Malformed("not a note signed by the expected key")


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """A name and an Ed25519 private key (32 bytes). Its repr and errors never show the key."""

    name: str
    seed: bytes

    @classmethod
    def generate(cls, name: str) -> Self:
        if not _name_ok(name):
            raise Malformed("a ledger's origin cannot hold spaces or '+'", where=repr(name))
        return cls(name, Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `PRIVATE+KEY+name+hash+base64`."""
        try:
            private, key, name, key_id, rest = text.split("+", 4)
            data = _base64(rest)
            if (private, key) == ("PRIVATE", "KEY") and len(data) == 33 and data[:1] == ED25519:
                made = cls(name, data[1:])
                if made.verifier.key_id.hex() == key_id and _name_ok(name):
                    return made
        except (ValueError, binascii.Error):
            pass
        raise Malformed("not a signing key")

    def private_text(self) -> str:
        key_id = self.verifier.key_id.hex()
        return f"PRIVATE+KEY+{self.name}+{key_id}+{base64.b64encode(ED25519 + self.seed).decode()}"

    @property
    def verifier(self) -> Verifier:
        public = Ed25519PrivateKey.from_private_bytes(self.seed).public_key()
        return Verifier(self.name, public.public_bytes_raw())

    def sign(self, text: str) -> bytes:
        """A signed note over `text`, which must end with a line break."""
        if not _text_ok(text):
            raise Malformed("a note's text must end with a line break and hold no control characters")
        signature = Ed25519PrivateKey.from_private_bytes(self.seed).sign(text.encode())
        line = base64.b64encode(self.verifier.key_id + signature).decode()
        return f"{text}\n— {self.name} {line}\n".encode()


def _text_ok(text: str) -> bool:
    return text.endswith("\n") and not any(ord(c) < 32 and c != "\n" for c in text)


def read_note(raw: bytes) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    """Text and signatures (name, key id, signature) of a note, none verified. Raises Malformed."""
    try:
        if len(raw) > LONGEST:
            raise ValueError
        text, separator, block = raw.decode().rpartition("\n\n")
        text += "\n"
        if not separator or not _text_ok(text) or not block.endswith("\n"):
            raise ValueError
        signatures: list[tuple[str, bytes, bytes]] = []
        for line in block[:-1].split("\n"):
            dash, name, rest = line.split(" ")
            data = _base64(rest)
            if dash != "—" or not _name_ok(name) or len(data) < 5 or len(signatures) == MOST_SIGNATURES:
                raise ValueError
            signatures.append((name, data[:4], data[4:]))
        return text, signatures
    except (ValueError, binascii.Error):
        raise Malformed("not a signed note") from None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: the log's origin, the number of entries, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads the three lines of a checkpoint (C2SP tlog-checkpoint; extension lines are refused)."""
        try:
            origin, size, root = text.removesuffix("\n").split("\n")
            made = cls(origin, int(size), _base64(root))
            if origin and made.text() == text and len(made.root) == 32 and made.size >= 0:
                return made
        except (ValueError, binascii.Error):
            pass
        raise Malformed("not a checkpoint")
