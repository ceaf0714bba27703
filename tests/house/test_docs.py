"""The docs name commands, modules and files that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from wardkeep.cli import COMMANDS

TREE = Path(__file__).parents[2]
SRC = TREE / "src"
OPTIONS = SRC / "wardkeep" / "cli" / "options.py"
SPAN = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```[a-z]*\n(.*?)^```", re.M | re.S)


def pages() -> list[Path]:
    return [TREE / "README.md", *sorted((TREE / "docs").rglob("*.md"))]


def code_in(text: str) -> Iterator[str]:
    """Every piece of code of a page: fenced lines and inline spans."""
    for block in FENCE.findall(text):
        yield from block.splitlines()
    yield from SPAN.findall(FENCE.sub("", text))


def subcommands(module: str) -> set[str]:
    """The names in a group of commands, read from its source, so that this test stays quick."""
    found = set()
    for node in ast.walk(ast.parse((SRC / "wardkeep" / "cli" / f"{module}.py").read_bytes())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Call):  # app.command("digest")(function)
            found |= {str(a.value) for a in node.func.args if isinstance(a, ast.Constant)}
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_typer":
            found |= {
                str(k.value.value)
                for k in node.keywords
                if k.arg == "name" and isinstance(k.value, ast.Constant)
            }
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and getattr(mark.func, "attr", "") == "command":
                    given = [a.value for a in mark.args if isinstance(a, ast.Constant)]
                    found.add(str(given[0]) if given else node.name.rstrip("_").replace("_", "-"))
    return found


def wrong_commands(pieces: Iterable[str]) -> list[str]:
    wrong = []
    for piece in pieces:
        match = re.match(
            r"(?:\$ )?(?:sudo )?wardkeep ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?(?: ([a-z][a-z-]*))?", piece
        )
        if not match:
            continue
        if match[1] not in COMMANDS:
            wrong.append(f"no command `wardkeep {match[1]}`")
            continue
        module = COMMANDS[match[1]][0]
        group = subcommands(module)
        if match[2] and group and match[2] not in group:
            wrong.append(f"no command `wardkeep {match[1]} {match[2]}`")
        known = (SRC / "wardkeep" / "cli" / f"{module}.py").read_text() + OPTIONS.read_text()
        inner = (
            SRC / "wardkeep" / "cli" / f"{module}_{match[2]}.py"
        )  # where such a command, or a group in a group, stands
        if match[2] and inner.is_file():
            known += inner.read_text()
            if match[3] and "typer.Typer(" in inner.read_text() and match[3] not in subcommands(inner.stem):
                wrong.append(f"no command `wardkeep {match[1]} {match[2]} {match[3]}`")
        for option in re.findall(r"(?<= )--[a-z][a-z-]+", piece.partition(" #")[0]):
            if option not in known and option.removeprefix("--").replace("-", "_") not in known:
                wrong.append(f"no option `wardkeep {match[1]} … {option}`")
    return wrong


def commands_named_in_code() -> Iterator[tuple[str, str]]:
    """File name and command of every "Run `wardkeep …`" that the program says to people, in Python and in pages."""
    for path in sorted((SRC / "wardkeep").rglob("*")):
        if path.suffix in (".py", ".html"):
            for span in re.findall(r"(?:`|<code>)(wardkeep [a-z][^`<\n]*)", path.read_text()):
                yield path.name, re.split(r"[{\"\\]", span)[0].rstrip()


def wrong_names(pieces: Iterable[str]) -> list[str]:
    """Dotted names of ours and paths of the tree that are not there."""
    wrong = []
    for piece in pieces:
        for dotted in re.findall(r"\bwardkeep(?:\.[A-Za-z_]\w*)+", piece):
            if (
                "toy" not in dotted
                and not exists(dotted)
                and not dotted.endswith((".sh", ".toml", ".service", ".socket", ".db", ".conf", ".timer"))
            ):
                wrong.append(dotted)
        for path in re.findall(r"(?<![\w/.~-])(?:src|tests|docs|bench|sdk|scripts)/[\w./-]+\w", piece):
            if not (TREE / path).exists() and "toy" not in path:
                wrong.append(path)
    return wrong


def exists(dotted: str) -> bool:
    """Whether `wardkeep.part.module.name` is a module, or a name that its module defines or imports."""
    path = SRC
    words = dotted.split(".")
    for index, word in enumerate(words):
        if (path / word).is_dir():
            path /= word
            continue
        is_module = (path / f"{word}.py").is_file()
        source, rest = (
            (path / f"{word}.py", words[index + 1 :]) if is_module else (path / "__init__.py", words[index:])
        )
        return (
            not rest
            or re.search(
                rf"^(?:\s*|.*\bimport\b.*)(?:class|def|async def|)\s*\b{rest[0]}\b", source.read_text(), re.M
            )
            is not None
        )
    return True


def test_the_docs_name_commands_that_exist() -> None:
    assert not {f"{p.name}: {w}" for p in pages() for w in wrong_commands(code_in(p.read_text()))}


def test_what_the_program_tells_people_to_run_exists() -> None:
    assert not {f"{name}: {w}" for name, piece in commands_named_in_code() for w in wrong_commands([piece])}


def test_the_docs_name_modules_and_files_that_exist() -> None:
    assert not {f"{p.name}: {w}" for p in pages() for w in wrong_names(code_in(p.read_text()))}


def test_the_law_sees_a_wrong_name() -> None:
    page = "Run `wardkeep chekc` then\n```sh\n$ wardkeep frobnicate now\n```\nsee `wardkeep.core.facts.Fakt`, `src/wardkeep/nowhere.py`"
    pieces = list(code_in(page))
    assert wrong_commands(pieces) == ["no command `wardkeep frobnicate`", "no command `wardkeep chekc`"]
    assert wrong_commands(
        ["wardkeep vulns review acept x", "wardkeep vulns review accept x --sayings y"]
    ) == [
        "no command `wardkeep vulns review acept`",
        "no option `wardkeep vulns … --sayings`",
    ]
    assert wrong_commands(["wardkeep host ad x", "wardkeep host add x --identify y"]) == [
        "no command `wardkeep host ad`",
        "no option `wardkeep host … --identify`",
    ]
    assert wrong_names(pieces) == ["wardkeep.core.facts.Fakt", "src/wardkeep/nowhere.py"]
    assert not wrong_names(["wardkeep.core.facts.Fact", "src/wardkeep/core/facts.py", "wardkeep.toml"])


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in pages():
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.relative_to(TREE)} → {target}")
    assert not broken
