"""One real sshd for the tests of this folder, with a user who may use sudo and one who may not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fleet.sshd import Sshd, running_sshd

SUDOERS = "Defaults use_pty\nops ALL=(ALL) NOPASSWD: ALL\nlimited ALL=(ALL) NOPASSWD: /bin/sh -s\n"


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    folder = tmp_path_factory.mktemp("sshd")
    with running_sshd(folder, users=("ops", "limited", "guest"), sudoers=SUDOERS) as server:
        yield server
