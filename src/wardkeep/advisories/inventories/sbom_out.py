"""An inventory as a bill of materials: CycloneDX 1.6 and SPDX 2.3, both as JSON, with a package URL for each package.

Binary packages stand with their source (`upstream`), so that other tools ask the vendor's data as this one does. What could not be
read is said in the document: it never passes for a whole one.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from wardkeep.advisories.components import Component, Inventory
from wardkeep.advisories.ecosystems import PURLS, family, is_vendor, scheme_of

KINDS = {ecosystem: kind for kind, ecosystem in PURLS.items()}
SYSTEMS = {"dpkg": "deb", "apk": "apk", "rpm": "rpm"}
FOREIGN, PLACE, UNREAD = "wardkeep:foreign", "wardkeep:place", "wardkeep:unread"
VENDORS = {"Rocky Linux": "rocky", "Red Hat": "redhat"}


def packages(inventory: Inventory) -> Iterator[tuple[str, str, str, Component]]:
    """(name, version, package URL, component) of every package: each binary of a system's source package by itself."""
    for one in inventory.components:
        if not is_vendor(one.ecosystem):
            name = one.name if one.ecosystem == "Maven" else (one.binaries or (one.name,))[0]
            yield one.name, one.version, purl(one.ecosystem, name, one.version), one
            continue
        kind, vendor = SYSTEMS[scheme_of(one.ecosystem)], family(one.ecosystem)
        distro = "-".join(part for part in inventory.release if part) or one.ecosystem.lower().replace(
            ":", "-"
        )
        versions = one.binary_versions or (one.shown,) * len(one.binaries)
        for binary, version in zip(one.binaries or (one.name,), versions or (one.shown,), strict=True):
            asked = {"distro": distro}
            if kind != "rpm":
                asked["upstream"] = f"{one.name}@{one.version}"
            elif not one.version.startswith("0:"):
                asked["epoch"], version = one.version.split(":")[0], version.partition(":")[2] or version
            path = f"{VENDORS.get(vendor, vendor.lower())}/{_quoted(binary)}@{_quoted(version)}"
            yield binary, version, f"pkg:{kind}/{path}?{_asked(asked)}", one


def purl(ecosystem: str, name: str, version: str) -> str:
    """The package URL of a language package (github.com/package-url/purl-spec)."""
    kind = KINDS[ecosystem]
    path = name.replace(":", "/", 1) if ecosystem == "Maven" else name
    if ecosystem == "PyPI":
        path = re.sub(r"[-_.]+", "-", name).lower()
    elif ecosystem == "Go" and not version.startswith("v") and name != "stdlib":
        version = f"v{version}"
    return f"pkg:{kind}/{'/'.join(map(_quoted, path.split('/')))}@{_quoted(version)}"


def to_cyclonedx(inventory: Inventory, now: datetime, version: str) -> dict[str, Any]:
    """A CycloneDX 1.6 document; `version` is this program's. The serial number is of the content: the same inventory has the same."""
    components: list[dict[str, Any]] = []
    if inventory.release[0]:
        components.append(
            {
                "type": "operating-system",
                "bom-ref": "operating-system",
                "name": inventory.release[0],
                **({"version": inventory.release[1]} if inventory.release[1] else {}),
            }
        )
    seen: set[str] = set()
    for name, installed, url, one in packages(inventory):
        if url in seen:
            continue
        seen.add(url)
        said = [(FOREIGN, one.foreign), (PLACE, one.place)]
        properties = [{"name": key, "value": value} for key, value in said if value]
        components.append(
            {"type": "library", "bom-ref": url, "name": name, "version": installed, "purl": url}
            | ({"properties": properties} if properties else {})
        )
    missing = unread(inventory)
    made: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{_number(components, missing)}",
        "version": 1,
        "metadata": {
            "timestamp": _time(now),
            "tools": {"components": [{"type": "application", "name": "wardkeep", "version": version}]},
            "component": {"type": "platform", "bom-ref": "subject", "name": inventory.name},
        },
        "components": components,
        "compositions": [{"aggregate": "incomplete" if missing else "unknown", "assemblies": ["subject"]}],
    }
    if missing:
        made["metadata"]["properties"] = [{"name": UNREAD, "value": text} for text in missing]
    return made


def to_spdx(inventory: Inventory, now: datetime, version: str) -> dict[str, Any]:
    """An SPDX 2.3 document; as `to_cyclonedx`."""
    listed: list[dict[str, Any]] = []
    if inventory.release[0]:
        listed.append(
            _spdx_package("SPDXRef-operating-system", inventory.release[0], inventory.release[1])
            | {"primaryPackagePurpose": "OPERATING-SYSTEM"}
        )
    seen: set[str] = set()
    for name, installed, url, one in packages(inventory):
        if url in seen:
            continue
        seen.add(url)
        reference = hashlib.sha256(url.encode()).hexdigest()[:24]
        package = _spdx_package(f"SPDXRef-package-{reference}", name, installed)
        package["primaryPackagePurpose"] = "LIBRARY"
        package["externalRefs"] = [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": url}
        ]
        said = [
            text
            for text in (one.foreign and f"{FOREIGN} {one.foreign}", one.place and f"{PLACE} {one.place}")
            if text
        ]
        if said:
            package["comment"] = "\n".join(said)
        listed.append(package)
    missing = unread(inventory)
    number = _number(listed, missing)
    made: dict[str, Any] = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": inventory.name,
        "documentNamespace": f"urn:uuid:{number}",
        "creationInfo": {"created": _time(now), "creators": [f"Tool: wardkeep-{version}"]},
        "packages": listed,
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": one["SPDXID"],
            }
            for one in listed
        ],
    }
    if missing:
        made["comment"] = "\n".join(f"{UNREAD} {text}" for text in missing)
    return made


def _spdx_package(reference: str, name: str, version: str) -> dict[str, Any]:
    return {
        "SPDXID": reference,
        "name": name,
        **({"versionInfo": version} if version else {}),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }


def unread(inventory: Inventory) -> list[str]:
    """What of it could not be read, one line each."""
    unknown = [
        n
        for n in inventory.notices
        if n.is_unknown and n.kind not in ("unsupported_release", "foreign_package", "no_feed")
    ]
    return [" ".join(f"{one.subject}: {one.why}".split()) for one in unknown]


def _number(*content: object) -> uuid.UUID:
    return uuid.uuid5(
        uuid.NAMESPACE_URL, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    )


def _time(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _quoted(text: str) -> str:
    return quote(text, safe=":~")


def _asked(qualifiers: dict[str, str]) -> str:
    return "&".join(f"{key}={_quoted(value)}" for key, value in sorted(qualifiers.items()))
