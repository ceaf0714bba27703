"""What is packed by Zstandard, unpacked by Debian's program `zstd`: Python has no reader of its own before 3.14."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from wardkeep.core.errors import BadInput

MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK = 1 << 20


@contextmanager
def unpacked_by_zstd(file: IO[bytes], where: str) -> Iterator[IO[bytes]]:
    """The unpacked bytes, to be read to their end. Raises BadInput without the program, EOFError for what is damaged or cut."""
    program = shutil.which("zstd")
    if program is None:
        raise BadInput(
            "is packed with zstd, and the program zstd is not here", where=where, todo="Install zstd."
        )
    with subprocess.Popen(
        [program, "-dcq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeder = threading.Thread(target=_feed, args=(file, process.stdin), daemon=True)
        feeder.start()
        try:
            yield process.stdout
        finally:
            process.stdout.close()
            feeder.join()
            status = process.wait()
    if status != 0:
        raise EOFError("zstd cannot unpack it")


def _feed(file: IO[bytes], to: IO[bytes]) -> None:
    try:
        shutil.copyfileobj(file, to, BLOCK)
    except (BrokenPipeError, OSError):
        pass  # the reader has stopped; it says why
    finally:
        with suppress(OSError):
            to.close()
