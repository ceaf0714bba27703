"""Base images of containers."""

from __future__ import annotations

from wardkeep.core.control import Control

control = Control(
    "base_images",
    missing=("Nothing builds, signs or rebuilds base images yet.",),
)
