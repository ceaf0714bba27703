"""asyncssh, imported without a compiler being run: take it from here.

While it is imported it looks for two optional libraries (nettle, liboqs) by `ctypes.util.find_library`, which asks the linker's cache
first and then, where gcc and ld are installed, runs these: programs that who looks at hosts has no business to run, and half
the time of the import. The cache is asked all the same, so what a distribution's package installed is found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NO_PROGRAMS = "/nonexistent"  # a folder that Debian's policy promises not to be there (9.2.3)


@contextmanager
def _no_programs_by_name() -> Iterator[None]:
    usual = os.environ.get("PATH")
    os.environ["PATH"] = _NO_PROGRAMS
    try:
        yield
    finally:
        if usual is None:
            del os.environ["PATH"]
        else:
            os.environ["PATH"] = usual


with _no_programs_by_name():
    import asyncssh

__all__ = ["asyncssh"]
