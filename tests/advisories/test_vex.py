"""VEX documents: each form says the same after a round trip, hand-written ones are read, and nothing is dropped in silence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardkeep.advisories.vex import FORMS, JUSTIFICATIONS, Document, Product, Statement, read_vex, write_vex
from wardkeep.core.errors import BadInput

AT = "2026-11-22T12:00:00.000Z"
OLD = Product(
    "pkg:deb/debian/openssl@3.0.14-1~deb12u2?arch=source&distro=debian-12", "openssl 3.0.14-1~deb12u2"
)
SAID = Document(
    "https://wardkeep.invalid/vex/1",
    "Example Clinic",
    AT,
    "",
    (
        Statement(
            ("CVE-2026-0001", "DSA-9001-1"), "affected", (OLD,), action="Install 3.0.15-1~deb12u1.", at=AT
        ),
        Statement(("CVE-2026-0002",), "under_investigation", (OLD,), at=AT),
        Statement(
            ("CVE-2026-0005",), "not_affected", (OLD,), JUSTIFICATIONS[2], "the module is not loaded", at=AT
        ),
        Statement(("CVE-2026-0006",), "fixed", (Product("pkg:deb/debian/zlib@1.3?arch=source"),), at=AT),
    ),
)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_is_read_back(form: str) -> None:
    read = read_vex(write_vex(SAID, form, version="0").encode(), "x")
    assert (read.author, read.at, read.refused) == ("Example Clinic", AT, ())
    assert [(one.names, one.status, [p.purl for p in one.products]) for one in read.statements] == [
        (one.names, one.status, [p.purl for p in one.products]) for one in SAID.statements
    ]
    assert read.statements[2].justification == JUSTIFICATIONS[2]
    assert read.statements[2].says == "the module is not loaded"
    told = read.statements[0]
    assert "Install 3.0.15-1~deb12u1." in (told.action, told.says)


@pytest.mark.parametrize("justification", JUSTIFICATIONS)
@pytest.mark.parametrize("form", FORMS)
def test_every_justification_survives(form: str, justification: str) -> None:
    one = Statement(("CVE-2026-0005",), "not_affected", (OLD,), justification, "because", at=AT)
    written = write_vex(Document("https://x.invalid/a", "a", AT, "", (one,)), form, version="0")
    (read,) = read_vex(written.encode(), "x").statements
    assert read.justification == justification


def test_what_the_published_schemas_ask_for_is_there() -> None:
    openvex = json.loads(write_vex(SAID, "openvex", version="0"))
    assert {"@context", "@id", "author", "timestamp", "version", "statements"} <= set(openvex)
    for one in openvex["statements"]:
        assert one["status"] != "affected" or one["action_statement"]
        assert one["status"] != "not_affected" or one.get("justification") or one.get("impact_statement")
    bom = json.loads(write_vex(SAID, "cyclonedx", version="0"))
    assert {"bomFormat", "specVersion"} <= set(bom)
    refs = {one["bom-ref"] for one in bom["components"]}
    assert {one["ref"] for flaw in bom["vulnerabilities"] for one in flaw["affects"]} <= refs
    csaf = json.loads(write_vex(SAID, "csaf", version="0"))
    # CSAF 2.0, section 4.5 (profile VEX): a product tree, notes, a status, and for what is not affected a reason.
    assert csaf["document"]["category"] == "csaf_vex"
    assert csaf["product_tree"]["full_product_names"]
    for flaw in csaf["vulnerabilities"]:
        assert flaw["notes"]
        assert "cve" in flaw or "ids" in flaw
        if ids := flaw["product_status"].get("known_not_affected"):
            assert set(ids) <= {i for part in (*flaw["flags"], *flaw["threats"]) for i in part["product_ids"]}
        if ids := flaw["product_status"].get("known_affected"):
            assert set(ids) <= {i for part in flaw["remediations"] for i in part["product_ids"]}


def test_a_csaf_document_of_a_vendor_with_branches_and_relationships() -> None:
    purl = "pkg:rpm/redhat/openssl@3.0.7-1.el9?arch=x86_64"
    part = {
        "category": "product_version",
        "name": "openssl",
        "product": {"product_id": "ossl", "name": "openssl"},
    }
    part["product"] |= {"product_identification_helper": {"purl": purl}}  # type: ignore[operator]
    tree = {
        "branches": [{"category": "vendor", "name": "V", "branches": [part]}],
        "relationships": [
            {
                "category": "default_component_of",
                "full_product_name": {"product_id": "base:ossl", "name": "openssl as part of Base"},
                "product_reference": "ossl",
                "relates_to_product_reference": "base",
            }
        ],
    }
    flaw = {
        "cve": "CVE-2026-0005",
        "product_status": {"known_not_affected": ["base:ossl"], "recommended": ["base:ossl"]},
        "flags": [{"label": "component_not_present", "product_ids": ["base:ossl"]}],
        "threats": [{"category": "impact", "details": "not built", "product_ids": ["base:ossl"]}],
    }
    document: dict[str, Any] = {"category": "csaf_vex", "csaf_version": "2.0", "publisher": {"name": "V"}}
    document["tracking"] = {"id": "V-1", "current_release_date": AT}
    read = read_vex(
        json.dumps({"document": document, "product_tree": tree, "vulnerabilities": [flaw]}).encode(), "x"
    )
    (one,) = read.statements
    assert (one.status, one.products[0].purl, one.justification) == (
        "not_affected",
        purl,
        "component_not_present",
    )
    assert one.says == "not built"


IMAGE = f"pkg:oci/app@sha256%3A{'a' * 64}?repository_url=registry.example/app"


@pytest.mark.parametrize("form", FORMS)
def test_a_package_in_an_image_is_not_the_package_everywhere(form: str) -> None:
    """Written and read back, the same package by itself and in two images stay three products."""
    other = IMAGE.replace("a" * 64, "b" * 64)
    products = tuple(Product(OLD.purl, "openssl", inside) for inside in ("", IMAGE, other))
    made = [
        Statement((f"CVE-2026-000{n}",), "not_affected", (one,), JUSTIFICATIONS[0], "no", at=AT)
        for n, one in enumerate((*products, Product(IMAGE, "app")))
    ]
    text = write_vex(Document("https://v.invalid/1", "V", AT, "", tuple(made)), form, version="0")
    read = read_vex(text.encode(), "x")
    assert read.refused == ()
    told = [(one.names[0], one.products[0].purl, one.products[0].inside) for one in read.statements]
    assert told == [
        *((f"CVE-2026-000{n}", OLD.purl, one.inside) for n, one in enumerate(products)),
        ("CVE-2026-0003", IMAGE, ""),
    ]


def test_what_a_document_is_about_is_what_its_parts_stand_in() -> None:
    """CycloneDX with the image as its subject; the vendor's release of a CSAF document, without a package URL, is none."""
    bill = {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"type": "container", "name": "app", "purl": IMAGE, "bom-ref": "top"}},
        "components": [{"type": "library", "name": "openssl", "purl": OLD.purl, "bom-ref": "o"}],
        "vulnerabilities": [
            {"id": f"CVE-2026-000{n}", "affects": [{"ref": ref}], "analysis": {"state": "not_affected"}}
            for n, ref in enumerate(("o", "top", f"urn:cdx:x/1#{OLD.purl}"))
        ],
    }
    read = read_vex(json.dumps(bill).encode(), "x")
    assert [(one.products[0].purl, one.products[0].inside) for one in read.statements] == [
        (OLD.purl, IMAGE),
        (IMAGE, ""),
        (OLD.purl, IMAGE),
    ]
    text = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "statements": [
            {
                "vulnerability": {"name": "CVE-2026-0001"},
                "status": "not_affected",
                "products": [{"@id": "https://example.invalid/shop", "subcomponents": [{"@id": OLD.purl}]}],
            }
        ],
    }
    (product,) = read_vex(json.dumps(text).encode(), "x").statements[0].products
    assert product.inside == "https://example.invalid/shop"


def test_the_first_openvex_wrote_names_and_products_as_plain_texts() -> None:
    statement = {"vulnerability": "CVE-2026-0005", "products": [OLD.purl], "status": "not_affected"}
    statement |= {"justification": "component_not_present"}
    told = {"@context": "https://openvex.dev/ns", "author": "a", "statements": [statement]}
    (one,) = read_vex(json.dumps(told).encode(), "x").statements
    assert (one.names, one.products[0].purl) == (("CVE-2026-0005",), OLD.purl)


def test_what_cannot_be_read_is_said_and_the_rest_is_kept() -> None:
    good = {"vulnerability": {"name": "CVE-1"}, "products": [{"@id": OLD.purl}], "status": "fixed"}
    bad = [
        {"vulnerability": {"name": "CVE-2"}, "products": [{"@id": "our product"}], "status": "fixed"},
        {"vulnerability": {"name": "CVE-3"}, "products": [{"@id": OLD.purl}], "status": "perhaps"},
        {**good, "status": "not_affected", "justification": "we think so"},
        {"products": [{"@id": OLD.purl}], "status": "fixed"},
        "nothing",
    ]
    told = {"@context": "https://openvex.dev/ns/v0.2.0", "statements": [good, *bad]}
    read = read_vex(json.dumps(told).encode(), "x")
    assert [one.names for one in read.statements] == [("CVE-1",)]
    assert [line.partition(":")[0] for line in read.refused] == [f"/statements/{n}" for n in range(1, 6)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"@context": "https://openvex.dev/ns/v0.2.0", "statements": 5, "@id": []}',
        b'{"bomFormat": "CycloneDX", "metadata": []}',
        b'{"document": {"csaf_version": "2.0", "tracking": 5}}',
        b"[" * 100_000,
    ],
)
def test_hostile_documents_are_one_line_or_nothing(data: bytes) -> None:
    try:
        read = read_vex(data, "file.json")
    except BadInput as e:
        assert e.where == "file.json"  # noqa: PT017
        assert "\n" not in e.line()  # noqa: PT017
    else:
        assert read.statements == ()


@given(st.recursive(st.none() | st.text(max_size=5) | st.integers(), lambda c: st.lists(c, max_size=3) | st.dictionaries(st.sampled_from(["vulnerability", "products", "status", "name", "@id", "affects", "ref", "analysis", "state", "ids", "product_status", "flags"]), c, max_size=4), max_leaves=12))  # fmt: skip
def test_no_shape_ends_in_a_crash(value: Any) -> None:
    for told in (
        {"@context": "openvex", "statements": [value]},
        {"bomFormat": "CycloneDX", "components": value, "vulnerabilities": [value]},
        {"document": {"csaf_version": "2.0"}, "product_tree": value, "vulnerabilities": [value]},
    ):
        try:
            read_vex(json.dumps(told).encode(), "x")
        except BadInput as e:
            assert "\n" not in e.line()  # noqa: PT017
