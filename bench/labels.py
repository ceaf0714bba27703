"""F1 on labelled matches: is what is said of a package and a flaw what a person says of it?

python -m bench.labels [LABELS BILLS DATABASE]

Without arguments: the project's own table (`tests/advisories/labelled_matches.py`). With them: a folder of labels in the layout of
anchore/vulnerability-match-labels (JSON files with `label` TP or FP, `vulnerability_id`, `package`, `image.exact_match`), a folder of
bills of materials or image archives whose names hold the images' digests, and an advisory database. Counted are the labels that can be
decided: the image is there, the package is in it in that version, and a feed speaks of its ecosystem.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.advisories.labelled_matches import Label, answers, labels, says_affected, write_label_feeds

from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.matching import Matcher
from wardkeep.advisories.updating import FILE, update_from_folder
from wardkeep.core.errors import WardkeepError

GOAL = 0.99


@dataclass(frozen=True)
class Counted:
    """How often what was said, positive or negative, was right (true) or wrong (false)."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    @property
    def f1(self) -> float:
        wrong = self.false_positive + self.false_negative
        return (
            2 * self.true_positive / (2 * self.true_positive + wrong) if self.true_positive + wrong else 1.0
        )


@dataclass(frozen=True)
class Foreign:
    """A label of somebody else's set."""

    image: str
    flaw: str
    package: str
    version: str
    positive: bool


def main() -> None:
    if len(sys.argv) == 4:
        found, spoiled = read_labels(Path(sys.argv[1]))
        with Database(Path(sys.argv[3])) as db:
            counted, left = score_labels(db, found, Path(sys.argv[2]))
        print(f"{len(found):,} labels, {spoiled} files not read, {left:,} not decidable here")
    else:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            update_from_folder(write_label_feeds(folder / "feeds"), folder / "db", datetime.now(UTC))
            with Database(folder / "db" / FILE) as db:
                counted = score_own(db, labels())
    kept = counted.f1 >= GOAL
    told = f"{counted.true_positive} found, {counted.true_negative} left out, {counted.false_positive} told in error, "
    told += f"{counted.false_negative} missed; beside a label for each by hand"
    print(
        f"F1 of labelled matches at least {GOAL}: {'kept' if kept else 'NOT kept'} ({counted.f1:.4f}: {told})"
    )
    sys.exit(not kept)


def score_own(db: Database, some: Iterable[Label]) -> Counted:
    return _counted((one.positive, says_affected(answers(db, one))) for one in some if one.counted)


def read_labels(folder: Path) -> tuple[list[Foreign], int]:
    """The labels that say yes or no, and how many files could not be read."""
    found, spoiled = [], 0
    for file in sorted(folder.rglob("*.json")):
        try:
            told = json.loads(file.read_bytes())
            if told["label"] in ("TP", "FP"):
                flaw = str(told.get("effective_cve") or told["vulnerability_id"])
                package, image = told["package"], str(told["image"]["exact_match"])
                found.append(
                    Foreign(image, flaw, package["name"], str(package["version"]), told["label"] == "TP")
                )
        except (OSError, ValueError, KeyError, TypeError):
            spoiled += 1
    return found, spoiled


def score_labels(db: Database, found: Iterable[Foreign], bills: Path) -> tuple[Counted, int]:
    """What is right of the decidable ones, and how many are not decidable."""
    files = {file.name: file for file in sorted(bills.iterdir())}
    known = db.ecosystems()
    inventories: dict[str, list[Component]] = {}
    pairs: list[tuple[bool, bool]] = []
    undecidable = 0
    for label in found:
        digest = label.image.rpartition("sha256:")[2]
        if digest not in inventories:
            file = next((one for name, one in files.items() if digest and digest in name), None)
            inventories[digest] = _components(file)
        having = [c for c in inventories[digest] if _is_it(c, label) and c.ecosystem in known]
        if not having:
            undecidable += 1
            continue
        matches = Matcher(db).matches(having)
        pairs.append(
            (
                label.positive,
                says_affected([m.state.value for m in matches if label.flaw in (m.id, *m.aliases)]),
            )
        )
    return _counted(pairs), undecidable


def _components(file: Path | None) -> list[Component]:
    try:
        return read_path(file).components if file is not None else []
    except WardkeepError as e:
        print(e.line(), file=sys.stderr)
        return []


def _is_it(component: Component, label: Foreign) -> bool:
    """By the package's own name or its source's, and by the version of either."""
    names = {component.name, *component.binaries}
    versions = {component.version, component.shown, *component.binary_versions}
    return label.package in names and label.version in versions


def _counted(pairs: Iterable[tuple[bool, bool]]) -> Counted:
    counts = {(right, said): 0 for right in (True, False) for said in (True, False)}
    for pair in pairs:
        counts[pair] += 1
    return Counted(counts[True, True], counts[False, True], counts[True, False], counts[False, False])


if __name__ == "__main__":
    main()
