"""Inventories: what is installed or to be installed, read from files, for anybody who has no platform."""

from __future__ import annotations

from pathlib import Path

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.inventories.debian import read_root
from wardkeep.advisories.inventories.lockfiles import format_of, read_lock_file
from wardkeep.advisories.inventories.sbom import read_sbom
from wardkeep.core.errors import BadInput

LARGEST = 256 << 20


def read_path(path: Path) -> Inventory:
    """A root folder, a lock file or a bill of materials, by what it is. Raises BadInput in one line for anything else."""
    if path.is_dir():
        return read_root(path)
    try:
        if path.stat().st_size > LARGEST:
            raise BadInput(f"is larger than {LARGEST >> 20} MB", where=str(path))
        data = path.read_bytes()
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror}", where=str(path)) from None
    if format_of(path.name) is not None:
        return read_lock_file(data, str(path))
    if data.lstrip()[:1] == b"{":
        return read_sbom(data, str(path))
    raise BadInput(
        "is no root folder, bill of materials (CycloneDX, SPDX as JSON) or lock file known here",
        where=str(path),
    )
