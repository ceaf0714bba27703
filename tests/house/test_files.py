"""Files are short, carry the field's words, and name nothing of the machine they were written on."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

TREE = Path(__file__).parents[2]
MOST_LINES = 400
# Words that say nothing about what is inside: everything ends up there.
BANNED = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".sh",
    ".html",
    ".css",
    ".js",
    ".json",
    ".yml",
    ".yaml",
    ".lock",
    ".txt",
    ".service",
    "",
}
# Written in two halves so that this file does not contain what it forbids.
OUR_FOLDERS = re.compile(
    r"(?<![\w.-])/wor" r"k/[a-z.]|/hom" r"e/(?!you|alice|bob|wardkeep|\$|<|\{|\*|\.\.\.)[a-z]+/src"
)
PRIVATE_SOURCE = re.compile(
    r"https?://(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.[\d.]+[:/]\S*(?:simple|pypi|debian|npm)|"
    r"https?://[^\s/]*(?:artifactory|nexus|devpi|snapshot\.debian|archive\.debian)[^\s]*"
)


def tracked() -> list[Path]:
    """The files of the tree, as git knows them (new ones too), so that state beside the tree is not looked at."""
    told = subprocess.run(
        ["git", "-C", TREE, "ls-files", "-co", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    )
    return [TREE / name for name in told.stdout.splitlines() if (TREE / name).is_file()]


def too_long(paths: Iterable[Path], most: int = MOST_LINES) -> list[str]:
    counted = {path: len(path.read_bytes().splitlines()) for path in paths if path.suffix == ".py"}
    return [
        f"{path.name}: {n} lines; make it a folder with the same names"
        for path, n in counted.items()
        if n > most
    ]


def banned_names(paths: Iterable[Path]) -> list[str]:
    wrong = []
    for path in paths:
        if path.suffix != ".py":
            continue
        if {path.stem, path.parent.name} & BANNED:
            wrong.append(f"{path}: the name says nothing")
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                words = re.findall(r"[A-Z]?[a-z0-9]+", node.name)
                if isinstance(node, ast.ClassDef) and BANNED & {w.lower() for w in words[-1:]}:
                    wrong.append(f"{path.name}: class {node.name}: the name says nothing")
                elif node.name in BANNED:
                    wrong.append(f"{path.name}: {node.name}: the name says nothing")
    return wrong


def traces(texts: Iterable[tuple[str, str]]) -> list[str]:
    """Lines that name a folder of the machine they were written on, or where it got its packages."""
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts
        for number, line in enumerate(text.splitlines(), start=1)
        if OUR_FOLDERS.search(line) or PRIVATE_SOURCE.search(line)
    ]


def test_files_are_short() -> None:
    assert not too_long(tracked())


def test_names_say_what_is_inside() -> None:
    assert not banned_names(path for path in tracked() if "src" in path.parts)


def test_nothing_of_our_machines_is_in_the_tree() -> None:
    read = ((str(p.relative_to(TREE)), p.read_text(errors="replace")) for p in tracked() if p.suffix in TEXT)
    assert not traces(read)


def test_the_laws_see_their_mutants(tmp_path: Path) -> None:
    (tmp_path / "utils.py").write_text("x = 1\n" * 401)
    (tmp_path / "store.py").write_text("class HostManager: ...\ndef common(): ...\nclass BasePrice: ...\n")
    (tmp_path / "base_images.py").write_text("def based(): ...\n")
    files = sorted(tmp_path.iterdir())
    assert too_long(files) == ["utils.py: 401 lines; make it a folder with the same names"]
    assert [line.rpartition("/")[2].split(":")[0] for line in banned_names(files)] == [
        "store.py",
        "store.py",
        "utils.py",
    ]
    bad = ["see /wor" + "k/main", "url = http://10.0.0" + ".5:3141/root/pypi", "https://dev" + "pi.corp/x"]
    good = ["in framework/main", "https://pypi.org/simple", "network/x", "ssh://admin@10.0.0.5"]
    assert len(traces([("bad", "\n".join(bad)), ("good", "\n".join(good))])) == len(bad)
