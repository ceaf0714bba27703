"""Bills of materials that are not JSON, brought into the shape of those that are: CycloneDX as XML, SPDX as tag-value text."""

from __future__ import annotations

import re
from typing import Any
from xml.parsers import expat

from wardkeep.core.errors import BadInput

KEPT = ("name", "version", "purl")
DEEPEST = 200
CODING = re.compile(r"""^(\s*<\?xml[^>]*?)\s+encoding\s*=\s*["'][^"']*["']""")
FIELD = re.compile(r"^([A-Za-z0-9]+):[ \t]*(.*)$")


def in_utf8(data: bytes) -> bytes:
    """The same text in UTF-8, where it begins with the mark of UTF-16, as shells of Windows write what is redirected into a file.

    Raises BadInput for what is no such text.
    """
    if data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return data
    try:
        return CODING.sub(r"\1", data.decode("utf-16")).encode()
    except UnicodeError as e:
        raise BadInput(f"begins with the mark of UTF-16 and is none: {e}") from None


def cyclonedx_of_xml(data: bytes, where: str) -> dict[str, Any]:
    """The components of a CycloneDX document. Raises BadInput; a document type, which could hold entities without an end, is refused."""
    path: list[str] = []
    open_ones: list[dict[str, Any]] = []
    made: dict[str, Any] = {"bomFormat": "CycloneDX", "components": [], "metadata": {}}
    text: list[str] = []

    def doctype(*_: object) -> None:
        raise BadInput("has a document type, which no bill of materials needs", where=where)

    def begin(name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition("}")[2]
        path.append(local)
        text.clear()
        if len(path) > DEEPEST:
            raise BadInput("is nested too deep", where=where)
        if len(path) == 1 and not (local == "bom" and "cyclonedx.org" in name):
            raise BadInput("is XML, but no CycloneDX", where=where)
        if local == "component":
            one: dict[str, Any] = {"type": attributes.get("type", "library"), "components": []}
            if open_ones:
                open_ones[-1]["components"].append(one)
            elif "metadata" in path and "tools" not in path:
                made["metadata"]["component"] = one
            elif "tools" not in path:
                made["components"].append(one)
            open_ones.append(one)
        elif local == "property" and open_ones and path[-3:-1] == ["component", "properties"]:
            open_ones[-1].setdefault("properties", []).append(
                {"name": attributes.get("name", ""), "value": ""}
            )

    def end(name: str) -> None:
        local = path.pop()
        said = "".join(text).strip()
        text.clear()
        if local == "component":
            open_ones.pop()
        elif open_ones and path[-1] == "component" and local in KEPT:
            open_ones[-1][local] = said
        elif open_ones and local == "property" and path[-2:] == ["component", "properties"]:
            open_ones[-1]["properties"][-1]["value"] = said

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text.append
    try:
        parser.Parse(data, True)
    except expat.ExpatError as e:
        raise BadInput(f"is no whole XML: {e}", where=where) from None
    return made


def is_tag_value(data: bytes) -> bool:
    """Whether it is SPDX in tag-value form: its version stands at the beginning, perhaps after remarks."""
    return bool(re.match(rb"(?:\xef\xbb\xbf)?\s*(#[^\n]*\n\s*)*SPDXVersion:", data[:4096]))


def spdx_of_tags(data: bytes) -> dict[str, Any]:
    """The packages of an SPDX document in tag-value form (SPDX 2.3, one field a line)."""
    packages: list[dict[str, Any]] = []
    made: dict[str, Any] = {"spdxVersion": "", "packages": packages}
    is_quoted = False
    for line in data.decode("utf-8-sig", "replace").splitlines():
        if is_quoted:  # a text of several lines
            is_quoted = "</text>" not in line
            continue
        match = FIELD.match(line)
        if not match:
            continue
        field, value = match[1], match[2].strip()
        is_quoted = "<text>" in value and "</text>" not in value
        if field == "SPDXVersion":
            made["spdxVersion"] = value
        elif field == "PackageName":
            packages.append({"name": value, "externalRefs": []})
        elif packages and field == "PackageVersion":
            packages[-1]["versionInfo"] = value
        elif packages and field == "PrimaryPackagePurpose":
            packages[-1]["primaryPackagePurpose"] = value
        elif packages and field == "ExternalRef":
            words = value.split()
            if len(words) == 3:
                packages[-1]["externalRefs"].append({"referenceType": words[1], "referenceLocator": words[2]})
    return made
