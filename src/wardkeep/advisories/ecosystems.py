"""Ecosystems by the names OSV gives them: which scheme orders their versions, how their packages are written, whose word counts.

`Debian:12`, `Ubuntu:22.04`, `Alpine:v3.19`, `AlmaLinux:9` carry a release; `PyPI`, `npm` … do not.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

SCHEMES: Mapping[str, str] = {
    "Debian": "dpkg",
    "Ubuntu": "dpkg",
    "Alpine": "apk",
    "AlmaLinux": "rpm",
    "Rocky Linux": "rpm",
    "Red Hat": "rpm",
    "PyPI": "pypi",
    "npm": "npm",
    "RubyGems": "gem",
    "Go": "go",
    "crates.io": "cargo",
    "Maven": "maven",
    "Packagist": "composer",
    "NuGet": "nuget",
    "Pub": "pub",
}
# Of these only the vendor's own data decide: a fix is often backported below the version upstream names.
VENDORS = frozenset({"Debian", "Ubuntu", "Alpine", "AlmaLinux", "Rocky Linux", "Red Hat"})
# Debian's code names (debian.org/releases); forky is the release in preparation.
DEBIAN = {
    "wheezy": "7",
    "jessie": "8",
    "stretch": "9",
    "buster": "10",
    "bullseye": "11",
    "bookworm": "12",
    "trixie": "13",
    "forky": "14",
    "sid": "sid",
}
# Ubuntu's releases by the names that package URLs may give instead of the number (wiki.ubuntu.com/Releases).
UBUNTU = {
    "trusty": "14.04",
    "xenial": "16.04",
    "bionic": "18.04",
    "focal": "20.04",
    "jammy": "22.04",
    "noble": "24.04",
    "plucky": "25.04",
    "questing": "25.10",
    "resolute": "26.04",
}
PURLS = {
    "pypi": "PyPI",
    "npm": "npm",
    "gem": "RubyGems",
    "golang": "Go",
    "cargo": "crates.io",
    "maven": "Maven",
    "composer": "Packagist",
    "nuget": "NuGet",
    "pub": "Pub",
}


@functools.lru_cache(maxsize=1024)
def family(ecosystem: str) -> str:
    """`Debian` of `Debian:12`."""
    return ecosystem.partition(":")[0]


def scheme_of(ecosystem: str) -> str:
    """The version scheme, or "" for an ecosystem this engine has none for."""
    return SCHEMES.get(family(ecosystem), "")


def is_vendor(ecosystem: str) -> bool:
    return family(ecosystem) in VENDORS


@functools.lru_cache(maxsize=1024)
def normal_ecosystem(text: str) -> str:
    """As this engine writes it: `Ubuntu:22.04:LTS` is `Ubuntu:22.04`; `Ubuntu:Pro:…` (paid) stays apart; `Maven:URL` is `Maven`."""
    name, _, rest = text.partition(":")
    if name == "Ubuntu" and not rest.startswith("Pro"):
        return f"Ubuntu:{rest.removesuffix(':LTS')}"
    if name in VENDORS:
        return text
    return name


def normal_name(ecosystem: str, name: str) -> str:
    """One spelling for each package: PEP 503 for Python; no case for NuGet and Composer; others as they are."""
    if ecosystem == "PyPI":
        return re.sub(r"[-_.]+", "-", name).lower()
    return name.lower() if ecosystem in ("NuGet", "Packagist") else name


def of_release(release_id: str, version: str) -> str:
    """The ecosystem of an os-release's ID and VERSION_ID; "" when no vendor's data are known for it."""
    if release_id == "debian":
        version = "sid" if version == "unstable" else DEBIAN.get(version, version)
        return f"Debian:{version.partition('.')[0] or 'sid'}"
    if release_id == "ubuntu":
        return f"Ubuntu:{version}"
    if release_id == "alpine":
        return "Alpine:v" + ".".join(version.split(".")[:2])
    names = {"almalinux": "AlmaLinux", "rocky": "Rocky Linux", "rhel": "Red Hat"}
    return f"{names[release_id]}:{version.partition('.')[0]}" if release_id in names else ""
