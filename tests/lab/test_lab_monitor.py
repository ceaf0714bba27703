"""The sockets of a machine, without a machine."""

from __future__ import annotations

import socket
from pathlib import Path

from wardkeep.lab.monitor import listens


def test_a_socket_that_is_bound_does_not_listen_yet(tmp_path: Path) -> None:
    path = tmp_path / "vm.qmp"
    assert not listens(path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))
        assert path.exists()
        assert not listens(path)
        one.listen()
        assert listens(path)
    assert not listens(path)
