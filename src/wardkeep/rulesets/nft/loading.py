"""A `.nft` file, as nft itself reads it: loaded into a network namespace that exists only for that, and listed again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from wardkeep.core.errors import BadInput, Unavailable

LONGEST = 120  # seconds for nft to load and list a file
MARK = "=== text ==="
TODO = "Run it where nft is installed, as root, or give the output of `nft -j list ruleset`"
# Interfaces that a rule names by index (`iif`, `oif`, flow tables, ingress hooks) must exist while it is loaded.
NAMED = re.compile(
    r"""\b(?:iif|oif|device|(?:dup|fwd)\s+to)\s+(?:(?:!=|==)\s*)?(?:\{([^}]*)\}|"?([\w.-]+)"?)|\bdevices\s*=\s*\{([^}]*)\}"""
)
# Words that can stand where a name is missing: `device;` in a file that is no rule set.
WORDS = frozenset({"lo", "exists", "missing", "type", "priority", "hook", "policy", "devices", "device"})
DEFINED = re.compile(r"^\s*(?:define|redefine)\s+(\w+)\s*=\s*(\{[^}]*\}|[^\n#]*)", re.MULTILINE)
SCRIPT = """
ip link set lo up || exit 1
n=0
for name in $WARDKEEP_LINKS; do n=$((n+1)); ip link add "$name" type veth peer name "wkpeer$n" || exit 1; done
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
    done = subprocess.run(
        [
            "unshare",
            "--net",
            "sh",
            "-c",
            SCRIPT,
            "sh",
            str(path.absolute()),
            str(path.absolute().parent),
            MARK,
        ],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LONGEST,
        check=False,
        cwd=path.absolute().parent,
        env={**os.environ, "WARDKEEP_LINKS": " ".join(sorted(links_in(text))), "LC_ALL": "C"},
    )
    if done.returncode == 3:
        raise BadInput(
            _refusal(done.stderr, path), where=str(path), todo="Correct it until `nft -c -f` takes it"
        )
    if done.returncode:
        told = (done.stderr.strip().splitlines() or ["no reason was given"])[0]
        raise Unavailable(f"no namespace to load it in: {told[:200]}", where=str(path), todo=TODO)
    told, _, listing = done.stdout.partition(f"\n{MARK}\n")
    texts, flags = read_listing(listing)
    return told.strip(), texts, flags


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


def _refusal(told: str, path: Path) -> str:
    lines = [line for line in told.splitlines() if line.strip()]
    if not lines:
        return "nft refuses it without a reason"
    return f"nft refuses it: {lines[0].replace(str(path.absolute()), '').lstrip(':')[:200]}"


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
