"""Images of the lab's hosts: real Debian, built from this machine's own apt sources.

An image is named by the digest of its recipe and of the sources it was built from, so a changed package list is a new
image and an unchanged one is never built twice. No archive's address stands here: the machine's sources say where
packages are. Two builds from one state of the archive are the same to the byte (`sha256` beside the file).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from wardkeep.core.errors import Unavailable
from wardkeep.lab.recipes import EPOCH, Recipe


def sources(suite: str, read: Iterable[Path] | None = None) -> str:
    """This machine's own Debian sources in one-line form, turned to `suite`. Third parties' archives are left out.

    Raises Unavailable when there are none.
    """
    files = list(read) if read is not None else [Path("/etc/apt/sources.list"), *_parts()]
    lines = [line for file in files if file.exists() for line in _stanzas(file, suite)]
    if not lines:
        raise Unavailable("this machine's apt sources name no Debian archive", where="/etc/apt")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _parts() -> list[Path]:
    return sorted(Path("/etc/apt/sources.list.d").glob("*.*"))


def _codename() -> str:
    found = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.M)
    return found.group(1) if found else ""


def _stanzas(file: Path, suite: str) -> Iterator[str]:
    here, kinds = _codename(), ("", "-updates", "-security")
    rows: list[tuple[str, list[str], str]] = []
    if file.suffix == ".sources":
        for stanza in re.split(r"\n\s*\n", file.read_text()):
            fields = dict(re.findall(r"^([A-Za-z-]+):\s*(.*)$", stanza, re.M))
            if "deb" in fields.get("Types", "").split():
                names, components = fields["Suites"].split(), fields.get("Components", "")
                rows += [(uri, names, components) for uri in fields["URIs"].split()]
    elif file.suffix == ".list":
        found = re.findall(r"^deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s+(.*)$", file.read_text(), re.M)
        rows += [(uri, [name], components) for uri, name, components in found]
    for uri, names, components in rows:
        for name in names:
            if "main" in components.split() and name in {here + kind for kind in kinds}:
                yield f"deb {uri} {name.replace(here, suite, 1)} main"


def digest(recipe: Recipe) -> str:
    """12 hex digits that change with anything that goes into the image, and with where its packages come from."""
    return hashlib.sha256((recipe.text() + sources(recipe.suite)).encode()).hexdigest()[:12]


def build(recipe: Recipe, cache: Path) -> Path:
    """The root file system as a tar file in `cache`, built if it is not there yet (30 to 60 s), `….sha256` beside it.

    Raises Unavailable with mmdebstrap's last lines.
    """
    made = cache / f"{recipe.what}-{recipe.suite}-{digest(recipe)}.tar"
    if made.exists():
        return made
    cache.mkdir(parents=True, exist_ok=True)
    part = made.with_suffix(".part")
    debootstrap(recipe, part)
    with open(part, "rb") as file:
        told = hashlib.file_digest(file, "sha256").hexdigest()
    made.with_suffix(".sha256").write_text(f"{told}  {made.name}\n")
    part.rename(made)
    return made


def debootstrap(recipe: Recipe, target: Path) -> None:
    """Build the root file system into the tar file `target`. Raises Unavailable with mmdebstrap's last lines."""
    with tempfile.TemporaryDirectory(prefix="wardkeep-lab-") as folder:
        hook, listed = Path(folder, "hook.sh"), Path(folder, "lab.list")
        hook.write_text(recipe.hook)
        hook.chmod(0o755)
        listed.write_text(sources(recipe.suite))
        ran = subprocess.run(
            ["mmdebstrap", "--variant=minbase", "--format=tar", "--keyring=/usr/share/keyrings",
             f"--include={','.join(recipe.packages)}", f"--customize-hook={hook}",
             recipe.suite, str(target), str(listed)],
            capture_output=True, text=True, check=False, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
        )  # fmt: skip
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if line.strip() and not line.startswith("I: ")]
        last = " | ".join(said[-8:])
        raise Unavailable(f"mmdebstrap could not build {recipe.what} {recipe.suite}: {last}")
