"""Every labelled match is answered as a person labelled it, and each flaw is told once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench.labels import Counted, read_labels, score_labels, score_own
from tests.advisories.labelled_matches import Label, answers, labels, write_label_feeds

from wardkeep.advisories.database import Database
from wardkeep.advisories.updating import FILE, update_from_folder

LABELS = labels()


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("labels")
    done = update_from_folder(
        write_label_feeds(folder / "feeds"), folder / "db", datetime(2026, 11, 22, tzinfo=UTC)
    )
    assert done.problems == []
    with Database(folder / "db" / FILE) as made:
        yield made


@pytest.mark.parametrize("label", LABELS, ids=[f"{one.name}: {one.flaw}" for one in LABELS])
def test_the_answer_is_the_label(db: Database, label: Label) -> None:
    assert answers(db, label) == ([label.answer] if label.answer else []), label.why


def test_the_table_is_large_and_has_both_kinds(db: Database) -> None:
    counted = [one for one in LABELS if one.counted]
    assert len(counted) >= 60
    assert min(sum(one.positive for one in counted), sum(not one.positive for one in counted)) >= 30
    assert score_own(db, LABELS) == Counted(
        sum(one.positive for one in counted), 0, 0, sum(not one.positive for one in counted)
    )


def test_f1_counts_what_is_wrong() -> None:
    assert Counted(8, 1, 3, 5).f1 == pytest.approx(16 / 20)
    assert Counted(0, 0, 0, 3).f1 == 1.0


def test_labels_of_others_are_read_in_their_layout(db: Database, tmp_path: Path) -> None:
    """A folder for each image, a file for each label; images by the digest in the name of their bill of materials."""
    digest = f"sha256:{'a' * 64}"
    image = {"exact_match": f"docker.io/example/app@{digest}"}

    def label(number: int, verdict: str, flaw: str, package: str, version: str) -> None:
        told = {"ID": str(number), "label": verdict, "vulnerability_id": flaw, "image": image}
        place = tmp_path / "labels" / "docker.io+example+app@x" / f"{number}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({**told, "package": {"name": package, "version": version}}))

    label(1, "TP", "CVE-2021-23337", "lodash", "4.17.20")
    label(2, "FP", "CVE-2023-32681", "requests", "2.31.0")
    label(3, "TP", "GHSA-h5c8-rqwp-cp95", "jinja2", "3.1.3")  # labelled wrongly: counts as missed
    label(4, "FP", "GHSA-xvch-5gv4-984h", "minimist", "1.2.5")  # labelled wrongly: counts as told in error
    label(5, "?", "CVE-2021-23337", "lodash", "4.17.20")
    label(6, "TP", "CVE-2021-23337", "lodash", "9.9.9")  # not in the bill
    (tmp_path / "labels" / "spoiled.json").write_text("[")
    parts = [("npm", "lodash", "4.17.20"), ("pypi", "requests", "2.31.0"), ("pypi", "jinja2", "3.1.3")]
    parts.append(("npm", "minimist", "1.2.5"))
    components = [
        {"type": "library", "name": n, "version": v, "purl": f"pkg:{kind}/{n}@{v}"} for kind, n, v in parts
    ]
    bill = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    (tmp_path / "boms").mkdir()
    (tmp_path / "boms" / f"{digest.replace(':', '-')}.cdx.json").write_text(json.dumps(bill))
    found, spoiled = read_labels(tmp_path / "labels")
    assert (len(found), spoiled) == (5, 1)
    counted, undecidable = score_labels(db, found, tmp_path / "boms")
    assert (counted, undecidable) == (Counted(1, 1, 1, 1), 1)
