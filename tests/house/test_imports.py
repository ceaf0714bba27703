"""Imports point down. Every forbidden arrow stands here with its why."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[2] / "src" / "wardkeep"

# The parts of the house, and what each may know. An engine is a pure library under the controls: it knows `core`.
MAY = {
    "core": set(),
    "facts": {"core"},
    "controls": {"core", "facts"},  # and the engines, see `allowed`
    "ledger": {"core"},
    "store": {"core"},
    "fleet": {"core"},
    "apps": {"core", "facts", "fleet"},
    "engine": {"core", "facts", "controls", "ledger", "store", "fleet", "apps"},
    "console": {"core", "engine"},
    # Verbs on plain files (`evidence verify`, `firewall audit`) work without a platform, so the command line may
    # reach past the engine; and `up` serves the console.
    "cli": {"core", "facts", "controls", "ledger", "store", "fleet", "apps", "engine", "console"},
}
WHY = {
    ("core", "*"): "core is the words; if it knew a user of the words, every part would know every other",
    ("facts", "controls"): "a fact that knew its rules would be read with the verdict in mind",
    (
        "facts",
        "fleet",
    ): "a question must not care by which connector it is asked, or recordings could not replay it",
    (
        "controls",
        "controls",
    ): "a row is judged by its own facts; two rows that share a finding share a fact instead",
    ("controls", "fleet"): "a control that could reach a host would look twice, and at another moment",
    ("controls", "ledger"): "a control that could write evidence could write its own",
    (
        "controls",
        "store",
    ): "verdicts depend on facts and policy only, so that they can be computed again years later",
    (
        "controls",
        "engine",
    ): "the engine calls the controls; the other way round nobody could test a row alone",
    ("ledger", "store"): "the ledger must stay true when the database is lost or edited",
    (
        "store",
        "ledger",
    ): "the database is an index rebuilt from the ledger by the engine, which alone knows both",
    (
        "fleet",
        "ledger",
    ): "what a connector heard is recorded by the engine, whole, whatever the connector thinks of it",
    ("fleet", "store"): "a connector is handed its host; it must work in a test with no database",
    ("engine", "console"): "the platform runs without a browser",
    ("engine", "cli"): "the platform runs without a terminal",
    ("console", "store"): "pages that query tables would each have their own idea of a row's state",
    ("console", "ledger"): "what a page shows of the ledger is the engine's one reading of it",
    ("console", "controls"): "a new control must need no change in the console",
    ("console", "fleet"): "a page must never reach a host; it asks the engine, which records the asking",
    ("engines", "*"): "an engine is useful by itself, on plain files, without a platform",
}
# One engine on another, where the second is nothing without the first.
STANDS_ON = {
    "rulesets": {"packets"},  # what tools wrote, read into packet sets and audited there
    "demo": {"lab"},  # a story on the lab's hosts; the program itself it runs as a person does, in a process
}
STANDALONE = {
    "ledger/verify.py": "a stranger can read and run the verifier alone: standard library and one signature check"
}


def imports(path: Path, root: Path) -> Iterator[str]:
    """The modules of ours that a file imports, as dotted names (absolute imports only; relative ones are none)."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.relative_to(root)}: write imports in full, readers search for them"
            yield node.module or ""
            if node.module in ("wardkeep", "wardkeep.controls"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(dotted: str) -> str:
    words = dotted.split(".")
    return words[1] if words[0] == "wardkeep" and len(words) > 1 else ""


def allowed(here: str, there: str) -> bool:
    if here == there or there in ("", "__version__"):
        return True
    if here not in MAY:  # an engine
        return there == "core" or there in STANDS_ON.get(here, ())
    if there not in MAY:  # any part above core and facts may stand on an engine
        return here not in ("core", "facts", "console") or (here == "facts")
    return there in MAY[here]


def forbidden_arrows(src: Path) -> list[str]:
    """One line for each import that points up or sideways, with the why."""
    wrong = []
    for path in sorted(src.rglob("*.py")):
        relative = path.relative_to(src)
        here = relative.parts[0] if len(relative.parts) > 1 else ""
        for dotted in imports(path, src):
            there = part_of(dotted)
            if here and not allowed(here, there):
                why = WHY.get((here, there)) or WHY.get((here if here in MAY else "engines", "*"))
                wrong.append(f"{relative} imports {dotted}: {why or 'this arrow points up or sideways'}")
            if here == there == "controls" and is_another_control(relative, dotted, src):
                wrong.append(f"{relative} imports {dotted}: {WHY['controls', 'controls']}")
            if there and str(relative) in STANDALONE:
                wrong.append(f"{relative} imports {dotted}: {STANDALONE[str(relative)]}")
    return wrong


def is_another_control(relative: Path, dotted: str, src: Path) -> bool:
    """A row may import the matrix and the files of its own folder, not another row."""
    if relative.name == "__init__.py" and len(relative.parts) == 2:
        return False
    row = relative.parts[1].removesuffix(".py")
    words = dotted.split(".")
    return (
        len(words) > 2
        and words[2] not in ("matrix", row)
        and ((src / "controls" / words[2]).is_dir() or (src / "controls" / f"{words[2]}.py").is_file())
    )


def test_imports_point_down() -> None:
    assert not forbidden_arrows(SRC)


def test_the_law_sees_a_forbidden_arrow(tmp_path: Path) -> None:
    """Mutants: one file each that breaks the law, and one that keeps it."""
    cases = {
        "core/a.py": "from wardkeep.facts import users",
        "controls/b.py": "import wardkeep.ledger.log",
        "controls/c.py": "from wardkeep.controls.b import control",
        "controls/d.py": "from wardkeep.controls import b",
        "packets/e.py": "from wardkeep.engine import cycle",
        "ledger/verify.py": "from wardkeep.core import errors",
        "store/f.py": "def late():\n    from wardkeep.ledger import log",
        "console/g.py": "from wardkeep.store import tables",
    }
    for name, text in {**cases, "controls/fine.py": "from wardkeep.controls.matrix import row"}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    told = forbidden_arrows(tmp_path)
    assert {line.split(" ")[0] for line in told} == set(cases)
    assert all(": " in line and len(line.split(": ", 1)[1]) > 20 for line in told)
