"""Writing VEX documents: OpenVEX 0.2.0, CycloneDX 1.5, CSAF 2.0 (profile `csaf_vex`). The same statements in each."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from wardkeep.advisories.vex.model import Document, Product, Statement

# Nine of CycloneDX for five: the nearest each.
TO_CYCLONEDX = {
    "component_not_present": "requires_dependency",
    "vulnerable_code_not_present": "code_not_present",
    "vulnerable_code_not_in_execute_path": "code_not_reachable",
    "vulnerable_code_cannot_be_controlled_by_adversary": "requires_environment",
    "inline_mitigations_already_exist": "protected_by_mitigating_control",
}
STATES = {
    "affected": "exploitable",
    "under_investigation": "in_triage",
    "not_affected": "not_affected",
    "fixed": "resolved",
}
CSAF = {
    "not_affected": "known_not_affected",
    "affected": "known_affected",
    "fixed": "fixed",
    "under_investigation": "under_investigation",
}
CVE = re.compile(r"CVE-[0-9]{4}-[0-9]{4,}")
NOT_SAID = "no more is said"


def write_vex(document: Document, form: str, *, version: str) -> str:
    """The document as JSON of the form `openvex`, `cyclonedx` or `csaf`. `version` is the program's own."""
    return json.dumps(FORMS[form](document, version), indent=2, ensure_ascii=False) + "\n"


def _openvex(document: Document, version: str) -> dict[str, Any]:
    return {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": document.id,
        "author": document.author,
        "timestamp": document.at,
        "version": 1,
        "tooling": f"wardkeep {version}",
        "statements": [_openvex_statement(one) for one in document.statements],
    }


def _openvex_statement(one: Statement) -> dict[str, Any]:
    flaw: dict[str, Any] = {"name": one.names[0]}
    if len(one.names) > 1:
        flaw["aliases"] = list(one.names[1:])
    made: dict[str, Any] = {
        "vulnerability": flaw,
        "products": [_openvex_product(product) for product in one.products],
        "status": one.status,
    }
    if one.at:
        made["timestamp"] = one.at
    if one.status == "not_affected":
        made |= {"justification": one.justification} if one.justification else {}
        made |= {"impact_statement": one.says} if one.says or not one.justification else {}
    elif one.status == "affected":
        made["action_statement"] = one.action or NOT_SAID
    elif one.says:
        made["status_notes"] = one.says
    return made


def _openvex_product(product: Product) -> dict[str, Any]:
    part = {"@id": product.purl, "identifiers": {"purl": product.purl}}
    if not product.inside:
        return part
    return {"@id": product.inside, "identifiers": {"purl": product.inside}, "subcomponents": [part]}


def _cyclonedx(document: Document, version: str) -> dict[str, Any]:
    named = {_ref(one): one for statement in document.statements for one in statement.products}
    images: dict[str, list[Product]] = {}
    for _, one in sorted(named.items()):
        images.setdefault(one.inside, []).append(one)
    alone = [_component(one) for one in images.pop("", [])]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, document.id)}",
        "version": 1,
        "metadata": {
            "timestamp": document.at,
            "authors": [{"name": document.author}],
            "tools": [{"name": "wardkeep", "version": version}],
        },
        "components": alone
        + [
            {"type": "container", "name": inside, "purl": inside, "bom-ref": inside}
            | {"components": [_component(one) for one in some]}
            for inside, some in images.items()
        ],
        "vulnerabilities": [_cyclonedx_flaw(one) for one in document.statements],
    }


def _component(one: Product) -> dict[str, Any]:
    return {"type": "library", "name": one.name or one.purl, "purl": one.purl, "bom-ref": _ref(one)}


def _ref(one: Product) -> str:
    """Unique in a document: the same package may stand by itself and in an image."""
    return f"{one.inside} {one.purl}" if one.inside else one.purl


def _cyclonedx_flaw(one: Statement) -> dict[str, Any]:
    analysis: dict[str, Any] = {"state": STATES[one.status]}
    if one.justification:
        analysis["justification"] = TO_CYCLONEDX[one.justification]
    detail = ". ".join(text for text in (one.says, one.action) if text)
    if detail:
        analysis["detail"] = detail
    if one.at:
        analysis["lastUpdated"] = one.at
    made: dict[str, Any] = {"id": one.names[0]}
    if len(one.names) > 1:
        made["references"] = [
            {"id": name, "source": {"name": name.partition("-")[0]}} for name in one.names[1:]
        ]
    return made | {"analysis": analysis, "affects": [{"ref": _ref(product)} for product in one.products]}


def _csaf(document: Document, version: str) -> dict[str, Any]:
    every = {product for one in document.statements for product in one.products}
    names = {one.purl: one.name for one in sorted(every, key=_ref)}
    names |= {one.inside: names.get(one.inside, "") for one in every if one.inside}
    inside = {_ref(one): one for one in every if one.inside}
    grouped: dict[tuple[str, ...], list[Statement]] = {}
    for one in document.statements:
        grouped.setdefault(one.names, []).append(one)
    return {
        "document": {
            "category": "csaf_vex",
            "csaf_version": "2.0",
            "title": "Published flaws and whether they concern these packages",
            "publisher": {
                "category": "user",
                "name": document.author,
                "namespace": "https://wardkeep.invalid",
            },
            "tracking": {
                "id": document.id.rpartition("/")[2],
                "status": "final",
                "version": "1",
                "initial_release_date": document.at,
                "current_release_date": document.at,
                "revision_history": [{"date": document.at, "number": "1", "summary": "As of this day."}],
                "generator": {"engine": {"name": "wardkeep", "version": version}},
            },
        },
        "product_tree": {
            "full_product_names": [
                {
                    "product_id": _short(purl),
                    "name": names[purl] or purl,
                    "product_identification_helper": {"purl": purl},
                }
                for purl in sorted(names)
            ]
        }
        | ({"relationships": [_part(one) for _, one in sorted(inside.items())]} if inside else {}),
        "vulnerabilities": [_csaf_flaw(called, some) for called, some in grouped.items()],
    }


def _part(one: Product) -> dict[str, Any]:
    return {
        "category": "default_component_of",
        "product_reference": _short(one.purl),
        "relates_to_product_reference": _short(one.inside),
        "full_product_name": {
            "product_id": _short(_ref(one)),
            "name": f"{one.name or one.purl} in {one.inside}",
        },
    }


def _csaf_flaw(names: tuple[str, ...], some: list[Statement]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    rest = [name for name in names if not CVE.fullmatch(name)]
    if CVE.fullmatch(names[0]):
        made["cve"] = names[0]
    if rest:
        made["ids"] = [{"system_name": name.partition("-")[0] or "vendor", "text": name} for name in rest]
    # A document of this profile has a note for each flaw.
    made["notes"] = [{"category": "summary", "text": next((one.says for one in some if one.says), NOT_SAID)}]
    status: dict[str, list[str]] = {}
    for one in some:
        here = sorted({_short(_ref(product)) for product in one.products})
        status[CSAF[one.status]] = sorted({*status.get(CSAF[one.status], []), *here})
        if one.status == "not_affected":
            if one.justification:
                made.setdefault("flags", []).append({"label": one.justification, "product_ids": here})
            told = {"category": "impact", "details": one.says or one.justification or NOT_SAID}
            made.setdefault("threats", []).append({**told, "product_ids": here})
        elif one.status == "affected":
            told = {"category": "workaround", "details": one.action or NOT_SAID}
            made.setdefault("remediations", []).append({**told, "product_ids": here})
    return made | {"product_status": status}


def _short(purl: str) -> str:
    return "P-" + hashlib.sha256(purl.encode()).hexdigest()[:12]


FORMS: Mapping[str, Callable[[Document, str], dict[str, Any]]] = {
    "openvex": _openvex,
    "cyclonedx": _cyclonedx,
    "csaf": _csaf,
}
