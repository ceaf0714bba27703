"""The inventory of a file system: packages of the system, language packages beside them, and what could not be read.

What a package of the system owns is left to it: Debian mends its Python packages without a new upstream version, so that the
advisories of PyPI would be wrong about them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from wardkeep.advisories.components import Component, Inventory, Notice
from wardkeep.advisories.ecosystems import DEBIAN, family, of_release
from wardkeep.advisories.inventories.debian import of_apk, of_dpkg, parse_os_release, unread_dpkg
from wardkeep.advisories.inventories.installed import read_installed
from wardkeep.advisories.inventories.lockfiles import format_of, read_lock_file
from wardkeep.advisories.inventories.rpm import RpmPackage, read_rpm
from wardkeep.advisories.inventories.tree import Tree
from wardkeep.advisories.inventories.wanted import RPM_FILES, RPM_FOLDERS
from wardkeep.core.errors import BadInput, NotUnderstood

APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
VENDORS = {"AlmaLinux": "AlmaLinux", "Rocky Linux": "Rocky Enterprise Software Foundation"}
COMPONENTS = frozenset({"main", "contrib", "non-free", "non-free-firmware"})
SHOWN = 5


def read_tree(tree: Tree, name: str) -> Inventory:
    """Everything a tree says. What it holds and cannot be read is in the notices."""
    release = os_release(tree)
    made = Inventory(name, release=release, notices=list(tree.notices))
    ecosystem = of_release(*release)
    owned = set[str]()
    has_system = _dpkg(tree, made, ecosystem, owned)
    has_system |= _apk(tree, made, ecosystem, owned)
    has_system |= _rpm(tree, made, ecosystem, owned)
    if release[0] and not has_system:
        why = "it says of which release it is, but has no package database: its packages are not known"
        made.notices.append(Notice("not_readable", " ".join(release).strip(), why))
    if has_system and not ecosystem:
        subject = " ".join(release).strip() or "os-release"
        made.notices.append(Notice("no_feed", subject, "no vendor's data are known for it"))
    _languages(tree, made, owned)
    made.notices.sort(key=lambda one: (one.kind, one.subject))
    return made


def os_release(tree: Tree) -> tuple[str, str]:
    """ID and VERSION_ID; "" for what it does not say."""
    for path in ("etc/os-release", "usr/lib/os-release"):
        data = tree.read(path)
        if data is not None:
            return parse_os_release(data.decode("utf-8", "replace"), path)
    return "", ""


def _dpkg(tree: Tree, made: Inventory, ecosystem: str, owned: set[str]) -> bool:
    status = tree.read("var/lib/dpkg/status")
    parts = list(tree.below("var/lib/dpkg/status.d"))
    texts = [] if status is None else [("var/lib/dpkg/status", status)]
    for path, kept in parts:
        if path.endswith(".md5sums"):
            owned.update(_bare(line[34:]) for line in _lines(kept.data))
        else:
            texts.append((path, kept.data))
    for path, kept in tree.below("var/lib/dpkg/info"):
        if path.endswith(".list"):
            owned.update(map(_bare, _lines(kept.data)))
    if not texts:
        return False
    decoded = [(path, data.decode("utf-8", "replace")) for path, data in texts]
    found = of_dpkg("\n\n".join(text for _, text in decoded), ecosystem)
    made.components += found
    for path, text in decoded:
        made.notices += [Notice("not_readable", path, why) for why in unread_dpkg(text)]
    if status and not status.endswith(b"\n"):
        made.notices.append(Notice("not_readable", texts[0][0], "ends in the middle of a line: it is cut"))
    if not found:
        made.notices.append(Notice("not_readable", texts[0][0], "names not one installed package"))
    made.notices += other_archives(tree)
    return True


def _apk(tree: Tree, made: Inventory, ecosystem: str, owned: set[str]) -> bool:
    for path in APK:
        data = tree.read(path)
        if data is None:
            continue
        found = of_apk(data.decode("utf-8", "replace"), ecosystem)
        made.components += found
        if not found:
            made.notices.append(Notice("not_readable", path, "names not one installed package"))
        folder = ""
        for line in _lines(data):
            if line.startswith("F:"):
                folder = line[2:]
            elif line.startswith("R:"):
                owned.add(_bare(f"{folder}/{line[2:]}"))
        return True
    return False


def _rpm(tree: Tree, made: Inventory, ecosystem: str, owned: set[str]) -> bool:
    for folder in RPM_FOLDERS:
        for name in RPM_FILES:
            path = f"{folder}/{name}"
            data = tree.read(path)
            if data is None or name.endswith("-wal"):
                continue
            if tree.read(f"{path}-wal"):
                why = "its newest changes stand in a write-ahead log, which is not read"
                made.notices.append(Notice("not_readable", path, why))
            try:
                found = read_rpm(data)
            except NotUnderstood as e:
                made.notices.append(Notice("not_readable", path, e.what))
                return True
            made.components += [_of_rpm(one, ecosystem) for one in found]
            owned.update(_bare(file) for one in found for file in one.files)
            return True
    return False


def _of_rpm(one: RpmPackage, ecosystem: str) -> Component:
    own = VENDORS.get(family(ecosystem), "")
    foreign = f"its vendor is {one.vendor or 'not named'}" if own and one.vendor != own else ""
    shown = one.version.removeprefix("0:")
    return Component(ecosystem, one.name, one.version, shown, (one.name,), foreign)


def other_archives(tree: Tree) -> list[Notice]:
    """apt sources that are no mirror of Debian's or Ubuntu's archive: dpkg does not record which packages are from them."""
    made = []
    texts = [("etc/apt/sources.list", tree.read("etc/apt/sources.list") or b"")]
    texts += [(path, kept.data) for path, kept in tree.below("etc/apt/sources.list.d")]
    for path, data in texts:
        for address in foreign_sources(data.decode("utf-8", "replace"), path.endswith(".sources")):
            why = f"{path} names it; which packages are from there dpkg does not record"
            made.append(Notice("foreign_archive", address, why))
    return list(dict.fromkeys(made))


def foreign_sources(text: str, is_deb822: bool) -> list[str]:
    """Addresses (without sign-in data) whose suite or components are none of Debian's or Ubuntu's."""
    entries: list[tuple[list[str], list[str], list[str]]] = []
    if is_deb822:
        for block in re.split(r"\n\s*\n", text):
            said = {
                k.lower(): v.split()
                for k, v in re.findall(r"^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", block, re.M)
            }
            if "deb" in said.get("types", ()) and said.get("enabled", ["yes"])[:1] not in (["no"], ["false"]):
                entries.append((said.get("uris", []), said.get("suites", []), said.get("components", [])))
    else:
        for line in text.splitlines():
            match = re.match(r"deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s*([^#]*)", line.strip())
            if match:
                entries.append(([match[1]], [match[2]], match[3].split()))
    made = []
    for addresses, suites, components in entries:
        debian = all(
            re.split(r"[-/]", suite)[0] in (*DEBIAN, "stable", "oldstable", "testing", "unstable")
            for suite in suites
        )
        plain = all(
            re.fullmatch(r"[a-z]+([-/](updates|security|proposed-updates|debug))*", suite) for suite in suites
        )
        ubuntu = any("ubuntu" in address for address in addresses) and set(components) <= {
            "main",
            "restricted",
            "universe",
            "multiverse",
        }
        if not (ubuntu or (debian and plain and components and set(components) <= COMPONENTS)):
            made += [re.sub(r"//[^/@]*@", "//", address)[:120] for address in addresses]
    return made


def _languages(tree: Tree, made: Inventory, owned: set[str]) -> None:
    """Installed packages first; a lock file counts where nothing of its ecosystem is installed in the tree."""
    seen: dict[tuple[str, str, str], Component] = {}
    programs: list[str] = []
    for path, kept in sorted(tree.files.items()):
        told = read_installed(path, kept.data) if kept.data else (list(kept.components), list(kept.notices))
        if told is None:
            continue
        if _bare(path) in owned:
            made.covered += bool(told[0])
            continue
        for one in told[0]:
            seen.setdefault((one.ecosystem, one.name, one.version), one)
        programs += [notice.subject for notice in told[1] if notice.kind == "unknown_program"]
        made.notices += [notice for notice in told[1] if notice.kind != "unknown_program"]
    installed = {ecosystem for ecosystem, _, _ in seen}
    unused = []
    for path, kept in sorted(tree.files.items()):
        known = format_of(path) if kept.data and read_installed(path, b"") is None else None
        if known is None or _bare(path) in owned:
            continue
        if known[0] in installed:
            unused.append(path)
            continue
        try:
            lock = read_lock_file(kept.data, path)
        except BadInput as e:
            made.notices.append(Notice("not_readable", path, e.what))
            continue
        for one in lock.components:
            seen.setdefault((one.ecosystem, one.name, one.version), one)
        made.notices += [Notice(n.kind, f"{path}: {n.subject}", n.why, n.is_unknown) for n in lock.notices]
    made.components += seen.values()
    if programs:
        why = "built into no package and without a list of what they are made of: no advisory can be asked for them"
        made.notices.append(Notice("unknown_program", _some(programs), why))
    if unused:
        why = "not read: what is installed of the same ecosystem was read instead"
        made.notices.append(Notice("lock_file", _some(unused), why, is_unknown=False))


def _some(paths: Iterable[str]) -> str:
    listed = sorted(paths)
    rest = len(listed) - SHOWN
    return ", ".join(listed[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _bare(path: str) -> str:
    """One spelling for a path, whether or not /bin, /lib and /sbin are links into /usr."""
    return path.strip().lstrip("/").removeprefix("./").removeprefix("usr/")


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines()
