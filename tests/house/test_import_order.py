"""No module needs itself to be imported: a ring of imports works or fails by who comes first."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


def modules(source: Path) -> dict[str, Path]:
    found = {}
    for path in source.rglob("*.py"):
        parts = path.relative_to(source).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def needs(body: list[ast.stmt]) -> Iterator[str]:
    """Names imported when the module is: not inside functions, not for type checkers."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.dump(node.test):
            yield from needs([*node.body, *node.orelse])
        elif isinstance(node, ast.Try | ast.With | ast.ClassDef):
            yield from needs(node.body)


def graph(source: Path) -> dict[str, set[str]]:
    known = modules(source)
    made: dict[str, set[str]] = {}
    for name, path in known.items():
        made[name] = set()
        for wanted in needs(ast.parse(path.read_text()).body):
            target = wanted if wanted in known else wanted.rpartition(".")[0]
            if target in known and target != name:
                # Importing a.b.c runs a and a.b first; a package that is being imported itself already runs.
                parts = target.split(".")
                chain = {".".join(parts[:n]) for n in range(1, len(parts) + 1)}
                made[name] |= {one for one in chain if one in known and not f"{name}.".startswith(f"{one}.")}
    return made


def test_imports_have_an_order() -> None:
    try:
        TopologicalSorter(graph(SOURCE)).prepare()
    except CycleError as e:
        pytest.fail("a ring of imports: " + " needs ".join(reversed(e.args[1])))


def test_a_ring_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("from b import x\n")
    (tmp_path / "b.py").write_text("import a\nx = 1\n")
    with pytest.raises(CycleError):
        TopologicalSorter(graph(tmp_path)).prepare()
    (tmp_path / "b.py").write_text("def later():\n    import a\nx = 1\n")
    TopologicalSorter(graph(tmp_path)).prepare()


def test_every_test_file_has_its_own_name() -> None:
    """pytest imports test files by their bare names: two of one name end the whole run before it begins."""
    names = [path.name for path in (SOURCE.parent / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
