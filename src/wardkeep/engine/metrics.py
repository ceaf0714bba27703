"""What Wardkeep says of itself to Prometheus: counts from the state at the moment of asking, no history, no names of subjects.

wardkeep_findings{verdict,severity}   wardkeep_row_findings{control,verdict}   wardkeep_rows_overdue
wardkeep_findings_overdue             wardkeep_findings_waived                 wardkeep_hosts{state}
wardkeep_ledger_entries               wardkeep_ledger_age_seconds              wardkeep_index_behind_entries
wardkeep_deliveries{state}            wardkeep_oldest_observation_seconds      wardkeep_build_info{version}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from sqlalchemy import func, select

from wardkeep import __version__
from wardkeep.core.findings import Severity
from wardkeep.engine.platform import Platform
from wardkeep.store.browse import VERDICTS, Wanted, count, matrix, pressing
from wardkeep.store.schema import deliveries, entries, hosts, schedules, totals


def render_metrics(platform: Platform, now: datetime | None = None) -> bytes:
    """The text exposition format, version 0.0.4. Raises Unavailable when the state cannot be read."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot(platform, now or datetime.now(UTC)))
    return bytes(generate_latest(registry))


@dataclass(eq=False)
class _Snapshot:
    platform: Platform
    now: datetime

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("wardkeep_build", "The program.", value={"version": __version__})
        with self.platform.store.read() as read:
            bands: dict[int, int] = {
                band: int(n)
                for band, n in read.execute(
                    select(totals.c.pressing, func.sum(totals.c.n)).group_by(totals.c.pressing)
                )
            }
            rows = matrix(read, self.now)
            seen, silent, total = (
                read.execute(select(func.count()).select_from(hosts).where(*which)).scalar_one()
                for which in (
                    (hosts.c.last_observed.is_not(None), hosts.c.last_problem == ""),
                    (hosts.c.last_problem != "",),
                    (),
                )
            )
            waiting = read.execute(
                select(func.count()).select_from(deliveries).where(deliveries.c.next_try.is_not(None))
            ).scalar_one()
            failed = read.execute(
                select(func.count())
                .select_from(deliveries)
                .where(deliveries.c.next_try.is_(None), deliveries.c.delivered.is_(None))
            ).scalar_one()
            late = read.execute(
                select(func.count(schedules.c.control.distinct())).where(schedules.c.next_due < self.now)
            ).scalar_one()
            overdue = sum(row.overdue for row in rows.values())
            waived = count(read, Wanted(verdicts=frozenset(VERDICTS[:2]), waived=True), self.now).n
            known = read.execute(select(func.max(entries.c.idx))).scalar()
        found = GaugeMetricFamily("wardkeep_findings", "Live findings.", labels=("verdict", "severity"))
        for verdict in VERDICTS:
            for severity in Severity:
                found.add_metric((str(verdict), str(severity)), bands.get(pressing(verdict, severity), 0))
        yield found
        each = GaugeMetricFamily(
            "wardkeep_row_findings", "Live findings of a row.", labels=("control", "verdict")
        )
        for name, row in sorted(rows.items()):
            for word, n in (("fail", row.fails), ("unknown", row.unknowns), ("pass", row.passes)):
                each.add_metric((name, word), n)
        yield each
        yield _gauge("wardkeep_rows_overdue", "Rows with a duty not done in its time.", late)
        yield _gauge("wardkeep_findings_overdue", "Open findings past their deadline.", overdue)
        yield _gauge("wardkeep_findings_waived", "Open findings under a waiver (counted to 1,000).", waived)
        fleet = GaugeMetricFamily("wardkeep_hosts", "Hosts by their last look.", labels=("state",))
        for state, n in (("answered", seen), ("problem", silent), ("never", total - seen - silent)):
            fleet.add_metric((state,), n)
        yield fleet
        oldest = min((row.oldest for row in rows.values() if row.oldest), default=None)
        if oldest is not None:
            age = (self.now - oldest).total_seconds()
            yield _gauge("wardkeep_oldest_observation_seconds", "Age of the oldest row of any host.", age)
        sent = GaugeMetricFamily("wardkeep_deliveries", "Messages not delivered.", labels=("state",))
        sent.add_metric(("waiting",), waiting)
        sent.add_metric(("given_up",), failed)
        yield sent
        yield from self._ledger(0 if known is None else int(known) + 1)

    def _ledger(self, known: int) -> Iterable[Metric]:
        size = self.platform.ledger.size
        yield _gauge("wardkeep_ledger_entries", "Entries under the signed checkpoint.", size)
        yield _gauge("wardkeep_index_behind_entries", "Entries the database does not know yet.", size - known)
        last = next(self.platform.ledger.read(size - 1), None) if size else None
        if last is not None:
            age = (self.now - datetime.fromisoformat(last["at"])).total_seconds()
            yield _gauge("wardkeep_ledger_age_seconds", "Since the last entry.", age)


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value=value)
