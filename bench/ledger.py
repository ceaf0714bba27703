"""The ledger's two promises: entries a second, and packs verified in flat memory. `python -m bench.ledger [--quick]`

Each figure stands beside a yardstick of the same run, on the same folder's disk: the same entries, in the same batches with
one commit each, into SQLite (WAL, synchronous=FULL) and onto the end of a plain file with one fsync.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wardkeep.ledger import Ledger, export
from wardkeep.ledger.disk import Disk
from wardkeep.ledger.verify import verify_pack

BATCH = 1000
ROWS = [f"row_{n:02d}" for n in range(4)]


def entry(n: int, blobs: list[dict[str, Any]]) -> dict[str, Any]:
    """What a look at one host leaves: about 480 bytes."""
    at = f"2026-{n // 2_419_200 % 12 + 1:02d}-{n // 86_400 % 28 + 1:02d}T{n // 3600 % 24:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"
    rows = {row: {"pass": n % 17, "fail": n % 3, "unknown": 0} for row in ROWS}
    body = {"rows": rows, "profile": "hipaa", "policy_digest": "sha256:" + "ab" * 32}
    subject = {"host": f"app-{n % 100}"}
    return {"kind": "assess", "at": at, "actor": "engine", "subject": subject, "body": body, "blobs": blobs}


def per_second(count: int, write: Callable[[list[dict[str, Any]]], object]) -> float:
    batches = [[entry(n + i, []) for i in range(BATCH)] for n in range(0, count, BATCH)]
    began = time.perf_counter()
    for batch in batches:
        write(batch)
    return count / (time.perf_counter() - began)


def appending(folder: Path, count: int) -> dict[str, float]:
    """Entries a second: ours, SQLite's, a plain file's; and one entry at a time."""
    ledger = Ledger.create(folder / "ledger", "bench", witness=folder / "witness")
    table = sqlite3.connect(folder / "yardstick.sqlite3")
    table.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE entry (n INTEGER PRIMARY KEY, told TEXT)"
    )
    plain = os.open(folder / "yardstick.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def insert(batch: list[dict[str, Any]]) -> None:
        with table:
            table.executemany(
                "INSERT INTO entry (told) VALUES (?)", [(json.dumps(e, sort_keys=True),) for e in batch]
            )

    def write(batch: list[dict[str, Any]]) -> None:
        os.write(plain, "".join(json.dumps(e, sort_keys=True) + "\n" for e in batch).encode())
        os.fsync(plain)

    made = {
        "ledger": per_second(count, ledger.append),
        "sqlite": per_second(count, insert),
        "plain file": per_second(count, write),
    }
    began = time.perf_counter()
    for n in range(50):
        ledger.append([entry(n, [])])
    made["one at a time, ms"] = (time.perf_counter() - began) * 1000 / 50
    table.close()
    os.close(plain)
    return made


class Unsynced(Disk):
    """For making what is not measured: 55,000 syncs would take longer than everything else."""

    def write(self, path: Path, data: bytes, mode: int = 0o644) -> None:
        path.write_bytes(data)

    def sync_folder(self, path: Path) -> None:
        pass


def make_pack(folder: Path, count: int) -> Path:
    """A pack of `count` entries, half of which name a blob of their own of 300 bytes."""
    ledger = Ledger.create(folder / f"ledger-{count}", "bench", disk=Unsynced())
    for first in range(0, count, BATCH):
        batch = []
        for n in range(first, first + BATCH):
            blobs = []
            if n % 2:
                digest = ledger.put_blob(b"raw answer %d " % n * 20)
                blobs = [{"name": "snapshot", "digest": digest, "size": 0}]
            batch.append(entry(n, blobs))
        ledger.append(batch)
    export(ledger, folder / f"{count}.tar.gz")
    return folder / f"{count}.tar.gz"


def verifying(pack: Path) -> dict[str, Any]:
    """Seconds and peak memory of a process that does nothing but verify; and what reading and hashing alone take."""
    words = [sys.executable, "-m", "bench.ledger", "--verify", str(pack)]
    return dict(json.loads(subprocess.run(words, capture_output=True, check=True, text=True).stdout))


def verify_here(pack: str) -> dict[str, Any]:
    import gzip
    import hashlib

    began, worked = time.perf_counter(), time.process_time()
    report = verify_pack(pack)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    # Not ru_maxrss, which a child inherits from the process that started it.
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024
    began = time.perf_counter()
    digest = hashlib.sha256()
    with gzip.open(pack) as file:
        while part := file.read(1 << 18):
            digest.update(part)
    yardstick = time.perf_counter() - began
    return {
        "entries": report.entries,
        "blobs": report.blobs,
        "verified": report.verified,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(worked, 2),
        "peak_mib": round(peak, 1),
        "unpack_and_hash_seconds": round(yardstick, 2),
        "pack_mib": round(os.path.getsize(pack) / 2**20, 1),
    }


def main() -> None:
    quick = "--quick" in sys.argv
    if "--verify" in sys.argv:
        print(json.dumps(verify_here(sys.argv[-1])))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as name:
        folder = Path(name)
        rates = appending(folder, 5_000 if quick else 50_000)
        small, large = (1_000, 10_000) if quick else (10_000, 100_000)
        few, many = verifying(make_pack(folder, small)), verifying(make_pack(folder, large))
    result = {
        "append": {
            "batch": BATCH,
            **{what: round(rate, 1) for what, rate in rates.items()},
            "ratio to sqlite": round(rates["ledger"] / rates["sqlite"], 2),
            "ratio to a plain file": round(rates["ledger"] / rates["plain file"], 2),
            "goal": "ledger >= 5000 entries/s",
            "met": rates["ledger"] >= 5000,
        },
        "verify": {
            "few": few,
            "many": many,
            "memory ratio": round(many["peak_mib"] / few["peak_mib"], 2),
            "ratio to unpacking and hashing": round(many["seconds"] / many["unpack_and_hash_seconds"], 1),
            "goal": "100,000 entries in < 10 s, memory flat",
            "met": many["verified"] and many["seconds"] < 10 and many["peak_mib"] < 1.5 * few["peak_mib"],
        },
    }
    print(json.dumps(result, indent=1))
    met = []
    for goal, kept, seen in (
        (
            "5,000 entries/s in batches of 1,000 with one commit each",
            rates["ledger"] >= 5000,
            f"{rates['ledger']:,.0f}; SQLite {rates['sqlite']:,.0f}, a plain file {rates['plain file']:,.0f}",
        ),
        (
            f"a pack of {large:,} entries verified under 10 s",
            many["verified"] and many["seconds"] < 10,
            f"{many['seconds']} s; unpacking and hashing alone {many['unpack_and_hash_seconds']} s",
        ),
        (
            "its memory flat",
            many["peak_mib"] < 1.5 * few["peak_mib"],
            f"{many['peak_mib']} MiB; with {small:,} entries {few['peak_mib']} MiB",
        ),
    ):
        print(f"{goal}: {'kept' if kept else 'NOT kept'} ({seen})")
        met.append(kept)
    sys.exit(not all(met))


if __name__ == "__main__":
    main()
