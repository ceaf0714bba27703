"""Many rows at once are stored as given, on both databases and whatever their number."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from wardkeep.store import Store, textindex
from wardkeep.store.bulk import TOGETHER, insert_many
from wardkeep.store.schema import tallies


@pytest.mark.parametrize("n", [0, 1, 25, TOGETHER - 1, TOGETHER, 2 * TOGETHER + 203])
def test_every_row_is_stored_once_and_in_its_columns(store: Store, n: int) -> None:
    rows = [{"host": f"h-{i}", "control": "firewall", "pressing": i % 12, "n": i} for i in range(n)]
    with store.begin() as connection:
        insert_many(connection, tallies, rows)
    with store.read() as connection:
        kept = connection.execute(select(tallies).order_by(tallies.c.n)).mappings().all()
        assert [dict(row) for row in kept] == rows
        assert connection.execute(select(func.count()).select_from(tallies)).scalar_one() == n


def test_an_older_text_index_gets_the_larger_buffer_once(store: Store) -> None:
    if not store.is_sqlite:
        pytest.skip("PostgreSQL keeps the words by itself")
    asked = "SELECT v FROM findings_text_config WHERE k = 'hashsize'"
    kept = []
    for _ in range(2):
        with store.begin() as connection:
            kept.append(connection.exec_driver_sql(asked).scalar())
            textindex.learn_since(connection, 0)
    assert kept == [None, 8 << 20]
