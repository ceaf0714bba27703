"""A state with any number of findings, made by the same recording that the engine uses: for the benches.

python -m bench.many_findings sqlite:////tmp/state.db 1000 1000      (hosts, findings a host)
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, text

from wardkeep.controls.matrix import ROWS
from wardkeep.core.findings import Finding, Severity, Verdict
from wardkeep.core.profiles import HIPAA
from wardkeep.engine.findings import Assessment, deadlines, record
from wardkeep.store import Store, open_store
from wardkeep.store.schema import hosts

KINDS = (
    ("package", "No security update is waiting.", "installed {n}.1.{n}-1, the fixed version is {n}.1.{n}-2"),
    ("user", "Every account has an owner.", "last login {n} days ago, shell /bin/bash"),
    ("port", "Nothing listens to the world that policy does not name.", "0.0.0.0:{n} owned by service-{n}"),
    ("unit", "No unit has failed.", "state is failed since {n} hours"),
    ("file", "Only the owner may write here.", "mode 0{n}64, owner app{n}"),
)
VERDICTS = (Verdict.PASS, Verdict.FAIL, Verdict.UNKNOWN)


def findings_of(host: str, count: int, seed: int) -> Iterator[Finding]:
    """`count` findings spread over all rows: 80 % pass, 15 % fail, 5 % unknown; the same for the same seed."""
    chance = random.Random(seed)
    rows = [row.id for row in ROWS]
    for n in range(count):
        control = rows[n % len(rows)]
        kind, says, seen = KINDS[(n // len(rows)) % len(KINDS)]
        (verdict,) = chance.choices(VERDICTS, (80, 15, 5))
        severity = chance.choice(list(Severity))
        rule = f"{control}.{kind}_in_order"
        subject = f"{kind}:{kind}-{n}"
        yield Finding(
            control, rule, says, host, subject, verdict, severity, seen.format(n=n), "See the plan."
        )


def fill(store: Store, *, n_hosts: int, per_host: int, at: datetime, batch: int = 20) -> None:
    """Record `n_hosts` hosts with `per_host` findings each, spread over the 60 days before `at`."""
    limits = deadlines(HIPAA.numbers)
    controls = frozenset(row.id for row in ROWS)
    names = [f"host-{n:04}" for n in range(n_hosts)]
    with store.begin() as connection:
        connection.execute(
            insert(hosts), [{"name": name, "url": f"ssh://root@{name}", "added": at} for name in names]
        )
    for start in range(0, n_hosts, batch):
        record(
            store,
            [
                Assessment(
                    name,
                    at - timedelta(days=60 * (n_hosts - n) / n_hosts),
                    controls,
                    list(findings_of(name, per_host, n)),
                    n,
                )
                for n, name in enumerate(names[start : start + batch], start)
            ],
            limits,
        )
    _settle(store)


def _settle(store: Store) -> None:
    """As the database settles by itself: PostgreSQL's autovacuum comes within a minute of so many rows, and whether it has come
    already when the first page is measured would be chance (a row's page takes half as long after it)."""
    if store.is_sqlite:
        with store.begin() as connection:
            connection.execute(text("ANALYZE"))
        return
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE)"))


def main() -> None:
    url, n_hosts, per_host = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    store = open_store(url)
    started = time.perf_counter()
    fill(store, n_hosts=n_hosts, per_host=per_host, at=datetime.now(UTC))
    print(f"{n_hosts * per_host} findings in {time.perf_counter() - started:.1f} s")
    store.close()


if __name__ == "__main__":
    main()
