"""By which digests the images of the review queue are known: what a statement about one image can be held against.

An image that runs is known by the digests its engine has for it and by its own identifier; a kept scan of an image by the digest
in its archive; either by a digest in its name. An asset that is known by none of them is met by no statement about an image.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import func, select

from wardkeep.advisories.inventories.sbom import read_purl
from wardkeep.core.facts import Unknown
from wardkeep.engine.allowlist_hosts import newest_looks, snapshot_of
from wardkeep.engine.flaw_review import KIND
from wardkeep.engine.flaw_review.inventory import SCAN, image_asset
from wardkeep.engine.platform import Platform
from wardkeep.facts.container_packages import ContainerPackages
from wardkeep.store.schema import entries

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
BARE = re.compile(r"[0-9a-f]{64}")
IMAGES = ("oci", "docker")


def digest_in(purl_text: str) -> str:
    """The digest of an image's package URL (`pkg:oci/app@sha256:…`); "" for any other text, and for an image named by a tag."""
    purl = read_purl(purl_text)
    return purl.version if purl and purl.type in IMAGES and DIGEST.fullmatch(purl.version) else ""


def known_digests(platform: Platform) -> dict[str, dict[str, str]]:
    """Asset → the digests it is known by, each with the name in which it stands ("" for an identifier of its own)."""
    made: dict[str, dict[str, str]] = {}
    for asset, name in (*_of_running(platform), *_of_scans(platform)):
        held = made.setdefault(asset, {})
        for digest in DIGEST.findall(f"sha256:{name}" if BARE.fullmatch(name) else name):
            held[digest] = name.partition("@")[0] if "@" in name else held.get(digest, "")
    return made


def _of_running(platform: Platform) -> Iterator[tuple[str, str]]:
    for host, index in newest_looks(platform).items():
        snapshot = snapshot_of(platform, index)
        if ContainerPackages.ask.id not in snapshot.answers or snapshot.problem:
            continue
        found = snapshot.learn(ContainerPackages)
        for one in () if isinstance(found, Unknown) else found.images:
            for name in (one.image, one.tag, *one.digests):
                yield image_asset(host, one.tag), name


def _of_scans(platform: Platform) -> Iterator[tuple[str, str]]:
    """The last scan kept under each name."""
    e = entries.c
    with platform.store.read() as connection:
        last = connection.execute(select(func.max(e.idx))).scalar()
        kept = list(connection.execute(select(e.idx).where(e.kind == KIND).order_by(e.idx)).scalars())
    told = [next(platform.ledger.read(int(index), int(index) + 1)) for index in kept]
    told += platform.ledger.read(0 if last is None else int(last) + 1)  # what the index has not reached yet
    found: dict[str, list[str]] = {}
    for entry in told:
        body = entry["body"]
        if entry["kind"] == KIND and body.get("act") == "scan-kept":
            found[str(body["scan"])] = [str(one) for one in body.get("images", ())]
    for name, digests in found.items():
        for digest in (name, *digests):
            yield SCAN + name, digest
