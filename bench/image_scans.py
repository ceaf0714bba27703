"""A container image scanned: an archive as `podman save` writes it, read layer by layer and asked about, beside what must be read anyway.

python -m bench.image_scans

The image is made here: Debian's package database with 400 packages, 20,000 small files, site-packages, node modules, and 240 MB of
programs and data in two layers. The yardstick is the sum of the same archive by `sha256sum`, and its layers unpacked and read once (`tar -t`, or `gzip -dc`
and `sha256sum`): no scanner that checks what it reads can do with less.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from bench.advisories import NOW
from tests.advisories.small_images import Layer, Program, docker_save, oci_archive, oci_files

from wardkeep.advisories.build import Builder, FeedCount
from wardkeep.advisories.database import Database
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.matching import Matcher
from wardkeep.advisories.records import Claim, Says

T = TypeVar("T")
PACKAGES, FILES, LARGE = 400, 20_000, 240
TIMES = 4.0  # of the yardstick's CPU


def main() -> None:
    chance = random.Random(9)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        db = database(folder, chance)
        layers = system(chance), application(chance)
        kept = bench(docker_save(folder / "image.tar", *layers), "docker archive", db, TIMES)
        # Packed layers are unpacked by one core: what gzip itself needs stands in the yardstick.
        kept &= bench(oci_archive(folder / "oci.tar", oci_files(*layers)), "OCI archive, gzip", db, TIMES)
    sys.exit(not kept)


def bench(path: Path, what: str, db: Database, times: float) -> bool:
    size = path.stat().st_size / 1e6
    inventory, seconds = timed(lambda: read_path(path))
    matches, asked = timed(lambda: list(Matcher(db).matches(inventory.components)))
    _, sums = timed(lambda: subprocess.run(["sha256sum", path], check=True, capture_output=True))
    layers = "tar -xOf {} --wildcards '*layer.tar' 2>/dev/null | tar -ti >/dev/null"
    if "OCI" in what:
        layers = "tar -xOf {} --wildcards 'blobs/sha256/*' 2>/dev/null | gzip -dcq 2>/dev/null | sha256sum >/dev/null"
    _, listed = timed(lambda: subprocess.run(["sh", "-c", layers.format(path)], check=False))
    whole, least = seconds + asked, sums + listed
    print(
        f"{what}: {size:.0f} MB, {len(inventory.components)} packages, {len(matches)} findings: "
        f"{seconds:.2f} s read, {asked * 1000:.0f} ms asked; load {os.getloadavg()[0]:.1f}"
    )
    verdict = "kept" if whole <= times * least else "NOT kept"
    beside = f"{whole / least:.1f} times; beside {least:.2f} s for sha256sum of the same archive and its layers unpacked and read"
    print(
        f"an image scanned, {what}, CPU within {times:g} times of reading it: {verdict} ({whole:.2f} s, {beside})"
    )
    return whole <= times * least


def timed(do: Callable[[], T]) -> tuple[T, float]:
    """What it gives, and its CPU seconds with those of its programs."""
    began = os.times()
    made = do()
    ended = os.times()
    return made, sum(ended[:4]) - sum(began[:4])


def database(folder: Path, chance: random.Random) -> Database:
    builder = Builder(feeds={"debian-tracker": FeedCount("debian-tracker")})
    for n in range(100_000):
        fixed = f"1.{chance.randrange(30)}-{chance.randrange(9)}"
        claim = Claim("Debian:12", f"source-{n % 2000}", f"CVE-2026-{n:06d}", Says.FIXED, fixed=fixed)
        builder.claims[claim.ecosystem, claim.package].append(("debian-tracker", claim))
    builder.write(folder / "advisories.db", NOW, {}, {})
    return Database(folder / "advisories.db")


def system(chance: random.Random) -> Layer:
    status = "".join(
        f"Package: package-{n}\nStatus: install ok installed\nSource: source-{n}\nVersion: 1.{chance.randrange(30)}-1\n\n"
        for n in range(PACKAGES)
    )
    return {
        "usr/lib/os-release": b"ID=debian\nVERSION_ID=12\n",
        "var/lib/dpkg/status": status.encode(),
        **{f"usr/share/doc/d{n % 300}/f{n}": b"text\n" * 40 for n in range(FILES)},
        **{f"usr/lib/large-{n}.so": chance.randbytes(1 << 20) for n in range(LARGE // 2)},
    }


def application(chance: random.Random) -> Layer:
    elf = b"\x7fELF\x02\x01\x01" + bytes(57)
    return {
        **{
            f"app/site-packages/p{n}-1.0.dist-info/METADATA": f"Name: p{n}\nVersion: 1.0\n".encode()
            for n in range(200)
        },
        **{
            f"app/node_modules/m{n}/package.json": f'{{"name": "m{n}", "version": "1.{n}.0"}}'.encode()
            for n in range(600)
        },
        **{f"app/bin/program-{n}": Program(elf + chance.randbytes(10 << 20)) for n in range(LARGE // 20)},
    }


if __name__ == "__main__":
    main()
