"""A `.nft` file, as nft itself reads it: loaded into a network namespace that exists only for that, and listed again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path

from wardkeep.core.errors import BadInput, Unavailable

LONGEST = 120  # seconds for nft to load and list a file
MARK = "=== text ==="
MOST_LINKS = 64  # interfaces that nft asks for one after the other
DEEPEST = 16  # files that include files, as nft's own limit
TODO = "Run it where nft is installed, as root, or give the output of `nft -j list ruleset`"
# Interfaces that a rule names by index (`iif`, `oif`, flow tables, ingress hooks) must exist while it is loaded.
NAMED = re.compile(
    r"""\b(?:iif|oif|device|(?:dup|fwd)\s+to)\s+(?:(?:!=|==)\s*)?(?:\{([^}]*)\}|"?([\w.-]+)"?)|\bdevices\s*=\s*\{([^}]*)\}"""
)
# Words that can stand where a name is missing: `device;` in a file that is no rule set.
WORDS = frozenset({"lo", "exists", "missing", "type", "priority", "hook", "policy", "devices", "device"})
DEFINED = re.compile(r"^\s*(?:define|redefine)\s+(\w+)\s*=\s*(\{[^}]*\}|[^\n#]*)", re.MULTILINE)
LINK = re.compile(r"[A-Za-z][\w.@-]{0,14}")
INCLUDE = re.compile(r"""^\s*include\s+["']([^"']+)["']""", re.MULTILINE)
LISTED = "`nft -j list ruleset` of the host that runs it"
THERE = f"give {LISTED}"
REASONS = {
    r"File not found": f"Put that file there, or {THERE}",
    r"unknown identifier": f"Give the file that defines it and includes this one, or {LISTED}",
    r"(?:User|Group) does not exist|Could not resolve (?:service|hostname)": (
        f"nft looks names of users, groups, services and hosts up where it runs: write their numbers, or {THERE}"
    ),
    r"Interface does not exist": f"Name an interface in place of that, or {THERE}",
    r"No such file or directory|Operation not supported": (
        f"It names what is not in it, or needs a module that this kernel lacks: give the file that includes it, or {LISTED}"
    ),
    r"breaks down": f"Another version of nft may take it; or {THERE}",
}
SCRIPT = """
ip link set lo up || exit 1
n=0
for name in $WARDKEEP_LINKS; do n=$((n+1)); ip link add name "$name" type veth peer name "wkpeer$n" || exit 1; done
nft -I "$2" -f "$1" || exit 3
nft -j list ruleset || exit 4
echo; echo "$3"
nft -a list ruleset || exit 4
"""


def load_nft(path: Path, text: str) -> tuple[str, dict[str, str], dict[tuple[str, str], tuple[str, ...]]]:
    """The file's rule set as JSON; its rules as nft prints them, by `family table chain handle`; its tables' flags.

    Raises Unavailable where no namespace can be made, BadInput with nft's own words where nft refuses the file. Nothing of
    this machine's rules is seen or changed.
    """
    missing = [tool for tool in ("nft", "unshare", "ip") if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        lacks = f"{', '.join(missing)} is not installed" if missing else "that needs root"
        raise Unavailable(f"the text of nft is read by nft itself, and {lacks}", where=str(path), todo=TODO)
    links = links_in(text)
    for _ in range(MOST_LINKS):
        done = _run(path, links)
        # An included file, a set or a map may name interfaces too. nft says which one it lacks.
        lacked = _lacked(done.stderr) - links if done.returncode == 3 else set()
        if not lacked:
            break
        links |= lacked
    if done.returncode == 3:
        told = _refusal(done.stderr, path)
        raise BadInput(told, where=str(path), todo=_todo(told))
    if done.returncode == 4:
        raise BadInput(
            f"nft loads it and cannot list it: {_first(done.stderr)}",
            where=str(path),
            todo=f"Another version of nft may; or {THERE}",
        )
    if done.returncode:
        raise Unavailable(f"no namespace to load it in: {_first(done.stderr)}", where=str(path), todo=TODO)
    told, _, listing = done.stdout.partition(f"\n{MARK}\n")
    texts, flags = read_listing(listing)
    return told.strip(), texts, flags


def _run(path: Path, links: set[str]) -> subprocess.CompletedProcess[str]:
    folder = str(path.absolute().parent)
    return subprocess.run(
        ["unshare", "--net", "sh", "-c", SCRIPT, "sh", str(path.absolute()), folder, MARK],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LONGEST,
        check=False,
        cwd=folder,
        env={**os.environ, "WARDKEEP_LINKS": " ".join(sorted(links)), "LC_ALL": "C"},
    )


def _lacked(told: str) -> set[str]:
    """The interface that nft says does not exist: what it underlines."""
    lines = told.splitlines()
    for head, source, marks in zip(lines, lines[1:], lines[2:], strict=False):
        if head.endswith("Error: Interface does not exist") and "^" in marks:
            name = source[marks.index("^") : marks.rindex("^") + 1].strip().strip('"')
            return {name} if LINK.fullmatch(name) else set()
    return set()


def included(path: Path, text: str) -> list[str]:
    """What a reader must know of the files that it includes: those of this machine, and patterns that match nothing here."""
    notes: dict[str, None] = {}
    for pattern, found in _includes(path.absolute().parent, text, 0):
        if not found:
            notes[
                f"it includes {pattern}, and no such file is here: what such files hold is not in this report"
            ] = None
        elif pattern.startswith("/"):
            notes[f"it includes {pattern}: what this machine has there is read"] = None
    return list(notes)


def _includes(folder: Path, text: str, depth: int) -> Iterator[tuple[str, list[str]]]:
    for pattern in INCLUDE.findall(text):
        places = [pattern] if pattern.startswith("/") else [str(folder / pattern), f"/etc/{pattern}"]
        found = next((hits for place in places if (hits := sorted(glob(place)))), [])
        if found or has_magic(pattern):
            yield pattern, found
        for name in found if depth < DEEPEST else ():
            try:
                inner = Path(name).read_text(errors="replace")
            except OSError:
                continue
            yield from _includes(folder, inner, depth + 1)


def links_in(text: str) -> set[str]:
    """The interfaces that must exist for the text to load."""
    found: set[str] = set()
    text = with_defines(text)
    for match in NAMED.finditer(text):
        for group in match.groups():
            found |= {n for n in re.findall(r"[A-Za-z][\w.-]*", group or "") if len(n) < 16}
    return found - WORDS


def with_defines(text: str) -> str:
    """The text with what it defines in the places of `$name`, as far as names of interfaces need it."""
    known: dict[str, str] = {}
    for name, value in DEFINED.findall(text):
        known[name] = re.sub(r"\$(\w+)", lambda m: known.get(m[1], ""), value).strip()
    return re.sub(r"\$(\w+)", lambda m: known.get(m[1], ""), text)


def _first(told: str) -> str:
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return lines[0][:200] if lines else "no reason was given"


def _refusal(told: str, path: Path) -> str:
    first = _first(told).replace(str(path.absolute()), "").lstrip(":")
    if re.search(r"Segmentation fault|Aborted|Assertion", first):
        return f"nft breaks down on it: {first}"
    return f"nft refuses it: {first}"


def _todo(told: str) -> str:
    """What to do about nft's reason. Files of another machine are often parts of more."""
    for sign, todo in REASONS.items():
        if re.search(sign, told):
            return todo
    return "Correct it until `nft -c -f` takes it"


def read_listing(listing: str) -> tuple[dict[str, str], dict[tuple[str, str], tuple[str, ...]]]:
    """`nft -a list ruleset`: rules by `family table chain handle`, and the flags of tables, which JSON garbles."""
    texts: dict[str, str] = {}
    flags: dict[tuple[str, str], tuple[str, ...]] = {}
    family = table = chain = ""
    for line in listing.splitlines():
        words = line.split()
        if line.startswith("table ") and len(words) >= 4:
            family, table, chain = words[1], words[2], ""
            flags[family, table] = ()
        elif line.startswith("\tflags ") and table:
            flags[family, table] = tuple(re.split(r"[,\s]+", line.strip().removeprefix("flags ").rstrip(";")))
        elif line.startswith("\tchain "):
            chain = words[1]
        elif line.startswith("\t}"):
            chain = ""
        elif chain and (match := re.fullmatch(r"\t\t(.*) # handle (\d+)", line)):
            texts[f"{family} {table} {chain} {match[2]}"] = match[1]
    return texts, flags
