"""Bills of materials: CycloneDX (JSON, XML) and SPDX (JSON, tag-value), by the package URLs in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from wardkeep.advisories.components import Component, Inventory, Notice
from wardkeep.advisories.ecosystems import DEBIAN, PURLS, UBUNTU, normal_name, of_release
from wardkeep.advisories.inventories.debian import BINARY_REBUILD, marked, unsigned
from wardkeep.advisories.inventories.sbom_forms import cyclonedx_of_xml, in_utf8, is_tag_value, spdx_of_tags
from wardkeep.advisories.inventories.sbom_out import FOREIGN, UNREAD
from wardkeep.core.errors import BadInput
from wardkeep.core.foreign_json import read_json

# CycloneDX's types and SPDX's purposes of what is no package.
NO_PACKAGES = ("operating-system", "file", "device", "data", "cryptographic-asset")
GROUP = "aquasecurity:trivy:Class"
# What RubyGems puts behind the version of a gem built for one platform.
PLATFORM = re.compile(
    r"-(?:java|jruby|universal|x86|x64|x86_64|i[3-6]86|aarch64|arm|arm64|armv[5-8]l?|ppc64le|s390x|riscv64|mswin|mingw)\w*(?:-.*)?$"
)
NO_PURPOSES = ("OPERATING", "CONTAINER", "FILE", "SOURCE")


class Purl(NamedTuple):
    """A package URL, taken apart (github.com/package-url/purl-spec)."""

    type: str
    namespace: str
    name: str
    version: str
    qualifiers: dict[str, str]


def read_sbom(data: bytes, name: str) -> Inventory:
    """Raises BadInput for what is neither form. A component without a package URL becomes a notice, never silence."""
    try:
        data = in_utf8(data)
    except BadInput as e:
        raise BadInput(e.what, where=name) from None
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        made: Any = cyclonedx_of_xml(data.lstrip(b" \t\r\n"), name)
    elif is_tag_value(data):
        made = spdx_of_tags(data)
    else:
        try:
            made = read_json(data)
        except ValueError as e:
            raise BadInput(f"cannot be read as JSON: {e}", where=name) from None
    try:
        if isinstance(made, dict) and made.get("bomFormat") == "CycloneDX":
            release, found = _cyclonedx(made)
        elif isinstance(made, dict) and str(made.get("spdxVersion", "")).startswith("SPDX-"):
            release, found = _spdx(made)
        else:
            raise BadInput(
                "is neither CycloneDX nor SPDX", where=name, todo="Give a bill of materials as JSON."
            )
        unread = _said_unread(made)
    except _Shape as e:
        raise BadInput(f"is no bill of materials as its form asks for: {e}", where=name) from None
    inventory = Inventory(name, release=release)
    grouped: dict[tuple[str, str, str], tuple[str, list[tuple[str, str]]]] = {}
    foreign: dict[tuple[str, str, str], str] = {}
    for label, purl_text, source, other in found:
        one = _component(read_purl(purl_text), release, source) if purl_text else None
        if isinstance(one, Component):
            key = (one.ecosystem, one.name, one.version)
            grouped.setdefault(key, (one.shown, []))[1].extend((binary, one.shown) for binary in one.binaries)
            foreign[key] = foreign.get(key) or other
        else:
            why = one or "it has no package URL, so no advisory can be asked"
            inventory.notices.append(Notice("not_readable", label, why))
    for (ecosystem, package, version), (shown, binaries) in grouped.items():
        ordered = sorted(set(binaries))
        inventory.components.append(
            Component(
                ecosystem,
                package,
                version,
                shown,
                tuple(binary for binary, _ in ordered),
                foreign[ecosystem, package, version] or marked(ecosystem, version),
                name,
                tuple(one for _, one in ordered),
            )
        )
    inventory.notices += [Notice("not_readable", name, text) for text in unread]
    return inventory


def read_purl(text: str) -> Purl | None:
    """None for a text that is no package URL."""
    if not text.startswith("pkg:"):
        return None
    body, _, query = text[4:].partition("#")[0].partition("?")
    path, at, version = body.rpartition("@")
    if not at or "/" in version:
        path, version = body, ""
    kind, _, rest = path.lstrip("/").partition("/")
    namespace, _, name = rest.rpartition("/")
    if not kind or not name:
        return None
    qualifiers = {key: value for key, value in parse_qsl(query, keep_blank_values=True)}
    # In a query a plus is a plus for package URLs: versions are full of them.
    qualifiers |= (
        {key: unquote(value) for key, _, value in (part.partition("=") for part in query.split("&"))}
        if query
        else {}
    )
    return Purl(kind.lower(), unquote(namespace), unquote(name), unquote(version), qualifiers)


def package_of(purl: Purl) -> str:
    """The name that advisories have for a language package."""
    return normal_name(PURLS[purl.type], _full_name(purl))


def _full_name(purl: Purl) -> str:
    joined = ":" if PURLS[purl.type] == "Maven" else "/"
    return f"{purl.namespace}{joined}{purl.name}" if purl.namespace else purl.name


def _component(purl: Purl | None, release: tuple[str, str], source: tuple[str, str]) -> Component | str:
    """The component, or why it cannot be asked for."""
    if purl is None:
        return "its package URL cannot be read"
    if not purl.version:
        return "its package URL names no version"
    if purl.type in PURLS:
        version = PLATFORM.sub("", purl.version) if purl.type == "gem" else purl.version
        return Component(PURLS[purl.type], package_of(purl), version, purl.version, (_full_name(purl),))
    if purl.type not in ("deb", "apk", "rpm"):
        return f"packages of type `{purl.type}` have no feed here"
    ecosystem = of_release(*_release_of(purl, release))
    if not ecosystem:
        return "neither it nor the document names a release that has a feed"
    if purl.type == "rpm":
        epoch = purl.qualifiers.get("epoch", "0")
        return Component(ecosystem, purl.name, f"{epoch}:{purl.version}", purl.version, (purl.name,))
    name, _, upstream = (source[0] or purl.qualifiers.get("upstream", "") or purl.name).partition("@")
    exact = source[1] or upstream or BINARY_REBUILD.sub("", purl.version)
    epoch = purl.qualifiers.get("epoch", "")
    if epoch not in ("", "0") and ":" not in exact:
        exact = f"{epoch}:{exact}"
    name, exact = unsigned(ecosystem, name, exact)
    return Component(ecosystem, name, exact, purl.version, (purl.name,))


def _release_of(purl: Purl, release: tuple[str, str]) -> tuple[str, str]:
    """What the package URL says, as tools write it: `debian-12`, `bookworm`, `jammy`, `3.17.3`. Else the document's, where that
    is of the same distribution: nothing of Ubuntu's is held against Debian's data."""
    said = purl.qualifiers.get("distro", "")
    distro, _, version = said.partition("-")
    if said in DEBIAN:
        return "debian", DEBIAN[said]
    if said in UBUNTU:
        return "ubuntu", UBUNTU[said]
    if version:
        return distro, version
    if said[:1].isdigit():
        return purl.namespace.lower(), said
    return release if purl.namespace.lower() in ("", release[0]) else ("", "")


# Label, package URL, source, archive that is not the vendor's.
Found = list[tuple[str, str, tuple[str, str], str]]


class _Shape(Exception):
    """A field holds another kind of value than the form has there."""


def _list(of: dict[str, Any], field: str) -> list[dict[str, Any]]:
    """The objects in a field; empty when there is none. A field that holds something else is refused, not passed over."""
    held = of.get(field)
    if held is None:
        return []
    if not isinstance(held, list) or not all(isinstance(one, dict) for one in held):
        raise _Shape(f"`{field}` is no list of objects")
    return held


def _cyclonedx(made: dict[str, Any]) -> tuple[tuple[str, str], Found]:
    components = list(_nested(made))
    main = made.get("metadata", {}).get("component") if isinstance(made.get("metadata"), dict) else None
    release = ("", "")
    for one in [*components, *([main] if isinstance(main, dict) else [])]:
        if one.get("type") == "operating-system" and one.get("name"):
            release = (str(one["name"]).lower(), str(one.get("version", "")))

    found: Found = []
    for one in components:
        if one.get("type", "library") in NO_PACKAGES:
            continue
        said = {str(p.get("name")): str(p.get("value", "")) for p in _list(one, "properties")}
        # Trivy writes a lock file as an application, and what it pins beside it.
        if one.get("type") == "application" and not one.get("purl") and GROUP in said:
            continue
        source = (said.get("aquasecurity:trivy:SrcName", ""), _trivy_version(said))
        label = f"{one.get('name', '?')} {one.get('version', '')}".strip()
        found.append((label, str(one.get("purl") or ""), source, said.get(FOREIGN, "")))
    return release, found


def _trivy_version(said: dict[str, str]) -> str:
    """Source version from the three properties Trivy writes."""
    get = said.get
    version = get("aquasecurity:trivy:SrcVersion", "")
    if not version:
        return ""
    epoch, revision = get("aquasecurity:trivy:SrcEpoch", ""), get("aquasecurity:trivy:SrcRelease", "")
    return (f"{epoch}:" if epoch else "") + version + (f"-{revision}" if revision else "")


def _spdx(made: dict[str, Any]) -> tuple[tuple[str, str], Found]:
    packages = _list(made, "packages")
    release = ("", "")
    for one in packages:
        if (
            one.get("primaryPackagePurpose") == "OPERATING-SYSTEM"
            or one.get("primaryPackagePurpose") == "OPERATING_SYSTEM"
        ):
            release = (str(one.get("name", "")).lower(), str(one.get("versionInfo", "")))

    found: Found = []
    for one in packages:
        if str(one.get("primaryPackagePurpose", "")).startswith(NO_PURPOSES):
            continue
        refs = [r for r in _list(one, "externalRefs") if r.get("referenceType") == "purl"]
        purl = str(refs[0].get("referenceLocator", "")) if refs else ""
        # Some write a whole project as an application, without a package URL; others every program.
        if not purl and one.get("primaryPackagePurpose") == "APPLICATION":
            continue
        label = f"{one.get('name', '?')} {one.get('versionInfo', '')}".strip()
        found.append((label, purl, ("", ""), "".join(_marked_lines(one, FOREIGN)[:1])))
    return release, found


def _said_unread(made: dict[str, Any]) -> list[str]:
    """What a document of ours says it lacks: a bill made of a damaged image stays unknown wherever it is read."""
    metadata = made.get("metadata")
    properties = _list(metadata, "properties") if isinstance(metadata, dict) else []
    said = [one for one in properties if one.get("name") == UNREAD]
    return [str(one.get("value", "")) for one in said] + _marked_lines(made, UNREAD)


def _marked_lines(made: dict[str, Any], mark: str) -> list[str]:
    """The lines of an SPDX comment that begin with the mark, without it."""
    lines = str(made.get("comment") or "").splitlines()
    return [line[len(mark) + 1 :] for line in lines if line.startswith(f"{mark} ")]


def _nested(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Components and those inside them, without recursion: depth is up to the document."""
    left = _list(made, "components")[::-1]
    while left:
        one = left.pop()
        yield one
        left += reversed(_list(one, "components"))
