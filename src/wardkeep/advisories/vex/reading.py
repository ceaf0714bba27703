"""Reading VEX documents. What a statement says of a product without a package URL is refused aloud, never guessed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wardkeep.advisories.vex.model import JUSTIFICATIONS, STATUSES, Document, Product, Statement
from wardkeep.core.errors import BadInput
from wardkeep.core.foreign_json import read_json

LARGEST = 64 << 20  # bytes of a document
# CycloneDX names nine justifications (specification 1.5, `impactAnalysisJustification`), CISA and the others five.
FROM_CYCLONEDX = {
    "code_not_present": "vulnerable_code_not_present",
    "code_not_reachable": "vulnerable_code_not_in_execute_path",
    "requires_configuration": "vulnerable_code_cannot_be_controlled_by_adversary",
    "requires_dependency": "component_not_present",
    "requires_environment": "vulnerable_code_cannot_be_controlled_by_adversary",
    "protected_by_compiler": "inline_mitigations_already_exist",
    "protected_at_runtime": "inline_mitigations_already_exist",
    "protected_at_perimeter": "inline_mitigations_already_exist",
    "protected_by_mitigating_control": "inline_mitigations_already_exist",
}
STATES = {
    "exploitable": "affected",
    "in_triage": "under_investigation",
    "false_positive": "not_affected",
    "not_affected": "not_affected",
    "resolved": "fixed",
    "resolved_with_pedigree": "fixed",
}
CSAF = {
    "known_not_affected": "not_affected",
    "known_affected": "affected",
    "first_affected": "affected",
    "last_affected": "affected",
    "fixed": "fixed",
    "first_fixed": "fixed",
    "under_investigation": "under_investigation",
}


def read_vex(data: bytes, name: str) -> Document:
    """Raises BadInput for what is none of the three, in one line; a statement that cannot be read is in `refused`."""
    if len(data) > LARGEST:
        raise BadInput(f"is larger than {LARGEST >> 20} MB", where=name)
    try:
        made = read_json(data)
    except ValueError as e:
        raise BadInput(f"cannot be read as JSON: {e}", where=name) from None
    forms: dict[str, Callable[[dict[str, Any]], Document]] = {}
    if isinstance(made, dict):
        if "openvex" in str(made.get("@context", "")):
            forms["OpenVEX"] = _openvex
        elif made.get("bomFormat") == "CycloneDX":
            forms["CycloneDX"] = _cyclonedx
        elif isinstance(made.get("document"), dict) and "csaf_version" in made["document"]:
            forms["CSAF"] = _csaf
    for form, read in forms.items():
        try:
            return read(made)
        except (TypeError, AttributeError, KeyError, ValueError, RecursionError) as e:
            raise BadInput(f"is {form} of another shape ({type(e).__name__})", where=name) from None
    raise BadInput(
        "is neither OpenVEX nor CycloneDX nor CSAF", where=name, todo="Give a VEX document as JSON."
    )


def _all(
    items: Any, place: str, read: Callable[[Any], Iterator[Statement]]
) -> tuple[list[Statement], list[str]]:
    made: list[Statement] = []
    refused: list[str] = []
    for number, item in enumerate(items if isinstance(items, list) else []):
        try:
            some = list(read(item))
            made += some
            if not some:
                refused.append(f"{place}/{number}: says nothing of any product with a package URL")
        except (TypeError, AttributeError, KeyError, ValueError) as e:
            refused.append(f"{place}/{number}: {e if isinstance(e, ValueError) else 'has another shape'}")
    return made, refused


def _openvex(told: dict[str, Any]) -> Document:
    def read(item: Any) -> Iterator[Statement]:
        flaw = item["vulnerability"]
        names = (
            [flaw] if isinstance(flaw, str) else [flaw.get("name"), flaw.get("@id"), *flaw.get("aliases", [])]
        )
        products = []
        for product in item.get("products", []):
            parts = product.get("subcomponents", []) if isinstance(product, dict) else []
            inside = _openvex_name(product) if parts else ""
            products += [_openvex_product(part, inside) for part in parts or [product]]
        yield _statement(
            names,
            str(item["status"]),
            [one for one in products if one],
            str(item.get("justification", "")),
            str(item.get("impact_statement") or item.get("status_notes") or ""),
            str(item.get("action_statement", "")),
            str(item.get("timestamp") or told.get("timestamp", "")),
        )

    made, refused = _all(told.get("statements"), "/statements", read)
    head = (str(told.get("@id", "")), str(told.get("author", "")), str(told.get("timestamp", "")))
    return Document(*head, "OpenVEX", tuple(made), tuple(refused))


def _openvex_product(one: Any, inside: str) -> Product | None:
    found = _openvex_name(one)
    return Product(found, inside=inside) if found.startswith("pkg:") else None


def _openvex_name(one: Any) -> str:
    return (
        one if isinstance(one, str) else str((one.get("identifiers") or {}).get("purl") or one.get("@id", ""))
    )


def _cyclonedx(told: dict[str, Any]) -> Document:
    purls: dict[str, Product] = {}

    def learn(items: Any, inside: str = "", depth: int = 0) -> None:
        for one in items if isinstance(items, list) and depth < 50 else []:
            if not isinstance(one, dict):
                continue
            if one.get("purl"):
                product = Product(str(one["purl"]), str(one.get("name", "")), inside)
                purls[str(one.get("bom-ref", one["purl"]))] = product
            # What a document calls its subject, and an image in it, is what its parts are spoken of in.
            is_whole = one is subject or one.get("type") == "container"
            label = str(one.get("purl") or one.get("name", "")) if is_whole else inside
            learn(one.get("components"), label, depth + 1)

    meta = told.get("metadata") or {}
    subject = meta.get("component") if isinstance(meta.get("component"), dict) else None
    whole = str(subject.get("purl") or subject.get("name", "")) if subject is not None else ""
    learn(told.get("components"), whole)
    learn([subject])

    def read(item: Any) -> Iterator[Statement]:
        analysis = item.get("analysis") or {}
        names = [item.get("id"), *(one.get("id") for one in item.get("references", []))]
        found = [_affected(one["ref"], purls, whole) for one in item.get("affects", [])]
        state = str(analysis.get("state", "in_triage"))
        if state not in STATES:
            raise ValueError(f"`{state[:40]}` is no state of an analysis")
        justification = FROM_CYCLONEDX.get(str(analysis.get("justification", "")), "")
        if state == "false_positive":
            justification = justification or "vulnerable_code_not_present"
        responses = ", ".join(map(str, analysis.get("response", [])))
        at = str(analysis.get("lastUpdated") or meta.get("timestamp", ""))
        says = str(analysis.get("detail", ""))
        yield _statement(names, STATES[state], [f for f in found if f], justification, says, responses, at)

    made, refused = _all(told.get("vulnerabilities"), "/vulnerabilities", read)
    authors = ", ".join(str(one.get("name", "")) for one in meta.get("authors", []))
    head = (str(told.get("serialNumber", "")), authors, str(meta.get("timestamp", "")))
    return Document(*head, "CycloneDX", tuple(made), tuple(refused))


def _affected(ref: str, purls: Mapping[str, Product], whole: str) -> Product | None:
    if ref in purls:
        return purls[ref]
    last = ref.rpartition("#")[2]  # a BOM-Link names a component of another document: urn:cdx:…/1#ref
    return purls.get(last) or (Product(last, inside=whole) if last.startswith("pkg:") else None)


def _csaf(told: dict[str, Any]) -> Document:
    document = told["document"]
    products: dict[str, Product] = {}
    parts: dict[str, tuple[str, str]] = {}  # product → what it is a part, and of what

    def learn(tree: Any, depth: int = 0) -> None:
        if not isinstance(tree, dict) or depth > 100:
            return
        for key in ("product", "full_product_name"):
            note(tree.get(key))
        for one in tree.get("full_product_names", []):
            note(one)
        if "product_reference" in tree and isinstance(tree.get("full_product_name"), dict):
            parts[str(tree["full_product_name"]["product_id"])] = (
                str(tree["product_reference"]),
                str(tree.get("relates_to_product_reference", "")),
            )
        for key in ("branches", "relationships"):
            for branch in tree.get(key, []):
                learn(branch, depth + 1)

    def note(one: Any) -> None:
        if isinstance(one, dict):
            purl = str((one.get("product_identification_helper") or {}).get("purl", ""))
            products[str(one["product_id"])] = Product(purl, str(one.get("name", "")))

    learn(told.get("product_tree"))

    def find(product: str) -> Product | None:
        found = products.get(product)
        if found is not None and found.purl:
            return found
        part, of = parts.get(product, ("", ""))
        inner, outer = products.get(part), products.get(of)
        if inner is None or not inner.purl:
            return None
        # A vendor's release, which has no package URL, is where its packages are anyway.
        return Product(inner.purl, inner.name, outer.purl if outer is not None else "")

    def read(item: Any) -> Iterator[Statement]:
        names = [item.get("cve"), *(one.get("text") for one in item.get("ids", []))]
        for key, ids in (item.get("product_status") or {}).items():
            known = [(one, product) for one in ids if (product := find(str(one))) is not None]
            status = CSAF.get(key)
            if status is None or not known:
                continue
            chosen = {one for one, _ in known}
            yield _statement(
                names,
                status,
                [product for _, product in known],
                _of(item.get("flags"), "label", chosen),
                _of(item.get("threats"), "details", chosen),
                _of(item.get("remediations"), "details", chosen),
                str((document.get("tracking") or {}).get("current_release_date", "")),
            )

    made, refused = _all(told.get("vulnerabilities"), "/vulnerabilities", read)
    tracking = document.get("tracking") or {}
    author = str((document.get("publisher") or {}).get("name", ""))
    head = (str(tracking.get("id", "")), author, str(tracking.get("current_release_date", "")))
    return Document(*head, "CSAF", tuple(made), tuple(refused))


def _of(items: Any, key: str, products: set[str]) -> str:
    """The first of these that speaks of one of the products, or of all."""
    for one in items if isinstance(items, list) else []:
        if not one.get("product_ids") or products & set(one["product_ids"]):
            return str(one.get(key, ""))
    return ""


def _statement(
    names: list[Any],
    status: str,
    products: list[Product],
    justification: str,
    says: str,
    action: str,
    at: str,
) -> Statement:
    """Raises ValueError, in words, for a statement that says nothing that can be kept."""
    called = tuple(dict.fromkeys(str(one) for one in names if one))
    if not called:
        raise ValueError("names no vulnerability")
    if status not in STATUSES:
        raise ValueError(f"`{status[:40]}` is no status")
    if not products:
        raise ValueError("names no product by a package URL")
    if justification and justification not in JUSTIFICATIONS:
        raise ValueError(f"`{justification[:60]}` is no justification")
    return Statement(called, status, tuple(products), justification, says, action, at)
