"""VEX in and out: what others state about our packages becomes decisions, and what was decided here is stated to others.

A statement is taken for a case only where it names the flaw and the package, speaks of every version that is installed, gives a
reason, and nobody decided yet. "Fixed" and "affected" are not taken: the looks at the hosts say that better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from wardkeep.advisories.ecosystems import family, is_vendor
from wardkeep.advisories.inventories.sbom import Purl, package_of, read_purl
from wardkeep.advisories.inventories.sbom_out import KINDS
from wardkeep.advisories.inventories.sbom_out import purl as language_purl
from wardkeep.advisories.matching import OTHER_VENDORS
from wardkeep.advisories.vex import Document, Product, Statement, read_vex
from wardkeep.core.errors import BadInput
from wardkeep.engine.flaw_review import KIND, ROW, acts
from wardkeep.engine.flaw_review.cases import Case, CaseAsset, assets_by_case, read_cases
from wardkeep.engine.flaw_review.image_names import digest_in, known_digests
from wardkeep.engine.flaw_review.queue import FIXED
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.platform import Platform, timestamp

OS_TYPES = {"Debian": "deb", "Ubuntu": "deb", "Alpine": "apk"}  # else rpm


@dataclass(frozen=True)
class Taken:
    """What became of one statement for one case: `taken`, or why it was left."""

    flaw: str
    package: str
    taken: bool
    why: str


@dataclass(frozen=True)
class Imported:
    """`unmatched` counts the statements that speak of no open case; `refused` are those that could not be read."""

    form: str
    author: str
    statements: int
    cases: tuple[Taken, ...]
    unmatched: int
    refused: tuple[str, ...]


def import_vex(
    platform: Platform, data: bytes, name: str, *, by: str, dry_run: bool = False, now: datetime | None = None
) -> Imported:
    """Take the statements of a document. The document itself goes to the ledger. Raises BadInput as `read_vex`."""
    document = read_vex(data, name)
    renew(platform, now)
    with platform.store.read() as connection:
        cases = read_cases(platform, connection)
        assets = assets_by_case(connection)
    digests = known_digests(platform) if _speaks_of_images(document) else {}
    if not dry_run:
        blob = {"name": "document", "digest": platform.ledger.put_blob(data), "size": len(data)}
        body = {"act": "vex-import", "form": document.form, "author": document.author, "name": name[:200]}
        body |= {"statements": str(len(document.statements)), "refused": str(len(document.refused))}
        platform.record(KIND, by, body, subject={"control": ROW}, blobs=[blob])
    source = f"{document.form} by {document.author or 'nobody named'}: {document.id or name}"
    told: list[Taken] = []
    unmatched = 0
    done: set[tuple[str, str]] = set()
    for statement in document.statements:
        concerned = [case for case in cases if _speaks_of(statement, case, assets.get(case.key, []), digests)]
        unmatched += not concerned
        for case in concerned:
            here = assets.get(case.key, [])
            why = "taken already" if case.key in done else _refusal(statement, case, here, digests)
            if not why:
                done.add(case.key)
                if not dry_run:
                    _take(platform, case, statement, source, by, now)
            told.append(Taken(case.flaw, case.package, not why, why or statement.justification))
    return Imported(
        document.form, document.author, len(document.statements), tuple(told), unmatched, document.refused
    )


def _take(
    platform: Platform, case: Case, statement: Statement, source: str, by: str, now: datetime | None
) -> None:
    says = statement.says[: acts.LONGEST_TEXT] or f"stated in {source}"[: acts.LONGEST_TEXT]
    acts.not_affected(
        platform, [case], justification=statement.justification, says=says, by=by, source=source, now=now
    )


Digests = Mapping[str, Mapping[str, str]]  # asset → the digests an image is known by


def _speaks_of_images(document: Document) -> bool:
    return any(
        digest_in(product.purl) or digest_in(product.inside)
        for statement in document.statements
        for product in statement.products
    )


def _speaks_of(statement: Statement, case: Case, assets: Sequence[CaseAsset], digests: Digests) -> bool:
    """Whether it names the flaw, and its package or an image that the case is open in.

    An advisory of a vendor mends several flaws: beside a flaw's own name it stands for nothing, and alone for all of them.
    """
    own = {name for name in statement.names if not name.startswith(OTHER_VENDORS)}
    if not {case.flaw, *case.told.get("aliases", ())} & (own or set(statement.names)):
        return False
    whole = {digest_in(product.purl) for product in statement.products} - {""}
    packages = (read_purl(product.purl) for product in statement.products)
    return any(purl is not None and _is_of(purl, case) for purl in packages) or any(
        whole & digests.get(one.host, {}).keys() for one in assets
    )


def _named(statement: Statement, case: Case) -> Iterator[tuple[str, str]]:
    """The versions of the case's package that the statement names, `*` for all of them, each with what it stands in: ""
    for wherever it is installed."""
    for product in statement.products:
        purl = read_purl(product.purl)
        if digest_in(product.purl):
            yield "*", product.purl
        elif purl is not None and _is_of(purl, case):
            yield _version(purl) or "*", product.inside


def _is_of(purl: Purl, case: Case) -> bool:
    """Whether the package URL names the case's package: a system's by its source package, a language's by its own name."""
    kinds = {_kind(ecosystem) for ecosystem in case.told.get("ecosystems", ())}
    if purl.type in ("deb", "rpm", "apk"):
        return _package(purl) == case.package and (not kinds or purl.type in kinds)
    return purl.type in kinds and package_of(purl) == case.package


def _kind(ecosystem: str) -> str:
    """The type of its package URLs."""
    return OS_TYPES.get(family(ecosystem), "rpm") if is_vendor(ecosystem) else KINDS.get(ecosystem, "")


def _package(purl: Purl) -> str:
    return purl.qualifiers.get("upstream", "").partition("@")[0] or purl.name


def _version(purl: Purl) -> str:
    epoch = purl.qualifiers.get("epoch", "")
    return f"{epoch}:{purl.version}" if epoch not in ("", "0") and purl.version else purl.version


def _refusal(statement: Statement, case: Case, assets: list[CaseAsset], digests: Digests) -> str:
    """Why the statement is not taken for the case; "" when it is. A decision holds wherever the package is installed, so that a
    statement about one image is taken only where the flaw is open in that image alone."""
    if statement.status != "not_affected":
        return f"it says {statement.status.replace('_', ' ')}: the looks at the hosts decide that"
    if not statement.justification and not statement.says:
        return "it gives no reason"
    if case.decision:
        return f"decided already: {case.decision.replace('_', ' ')} by {case.decided_by}"
    named = set(_named(statement, case))
    versions = {version for version, _ in named}
    other = sorted({one.version for one in assets} - versions)
    if other and "*" not in versions:
        return f"it does not speak of the installed {', '.join(other)}"

    def is_met(one: CaseAsset) -> bool:
        known = digests.get(one.host, {})
        return any(
            version in ("*", one.version) and (not inside or digest_in(inside) in known)
            for version, inside in named
        )

    elsewhere = [one.host for one in assets if not is_met(one)]
    if elsewhere:
        whole = ", ".join(sorted({inside for _, inside in named if inside}))[:200]
        rest = f" and {len(elsewhere) - 1} more" if len(elsewhere) > 1 else ""
        return f"it speaks only of {whole}, and the flaw is open in {elsewhere[0]}{rest}"
    return ""


def export_vex(platform: Platform, now: datetime, author: str) -> Document:
    """What is known and decided of every case, as statements about packages; hosts are not named. Raises BadInput without cases."""
    renew(platform, now)
    with platform.store.read() as connection:
        cases = read_cases(platform, connection, closed=True)
        assets = assets_by_case(connection, closed=True)
    digests = known_digests(platform)
    told_of = [_statement(case, assets.get(case.key, []), digests) for case in cases]
    made = [statement for statement in told_of if statement is not None]
    if not made:
        raise BadInput("there is nothing to state: no flaw ever concerned the fleet")
    told = "\n".join(map(repr, made))
    number = hashlib.sha256(f"{author}\n{told}".encode()).hexdigest()[:24]
    return Document(f"https://wardkeep.invalid/vex/{number}", author, timestamp(now), "", tuple(made))


def _statement(case: Case, assets: list[CaseAsset], digests: Digests) -> Statement | None:
    # An alias is another name of the same flaw (OpenVEX, CycloneDX): an advisory about several flaws is none.
    aliases = (name for name in case.told.get("aliases", ()) if not name.startswith(OTHER_VENDORS))
    names = (case.flaw, *aliases)
    if case.closed is not None:
        # The version that mends it is what is stated; where no feed names one, there is nothing to state.
        versions = {one.fixed for one in assets if one.how == FIXED and one.fixed}
        at = timestamp(case.closed)
        return Statement(names, "fixed", tuple(_products(case, versions)), at=at) if versions else None
    still = [one for one in assets if one.closed is None]
    products = tuple(
        replace(product, inside=image)
        for version in sorted({one.version for one in still})
        for image in _images([one for one in still if one.version == version], digests)
        for product in _products(case, {version})
    )
    if not products:
        return None
    at, said = timestamp(case.decided or case.opened), case.said
    says = str(said.get("says", ""))
    if case.decision == "not_affected":
        return Statement(names, "not_affected", products, str(said.get("justification", "")), says, at=at)
    if not case.decision:
        return Statement(names, "under_investigation", products, at=at)
    fixes = ", ".join(case.told.get("fixed", ()))
    action = {
        "accepted": f"Install {fixes}." if fixes else "No fix is released yet.",
        "planned": f"Mended by {said.get('until', '')}.",
        "waived": f"Until {said.get('until', '')}: {said.get('compensating', '')}",
    }[case.decision]
    return Statement(names, "affected", products, says=says, action=action, at=at)


def _images(some: Sequence[CaseAsset], digests: Digests) -> list[str]:
    """The images that hold this version, as package URLs; [""] where it stands elsewhere too, or in an image without a name and digest."""
    made: list[str] = []
    for one in some:
        named = sorted((name, digest) for digest, name in digests.get(one.host, {}).items() if name)
        if not named:
            return [""]
        name, digest = named[0]
        # purl-spec's type `oci`: the last part of the name, in small letters; where it is kept stands beside it.
        last = quote(name.rpartition("/")[2].partition(":")[0].lower())
        made.append(f"pkg:oci/{last}@{quote(digest)}?repository_url={quote(name, safe='/:')}")
    return sorted(set(made))


def _products(case: Case, versions: set[str]) -> tuple[Product, ...]:
    ecosystems = list(case.told.get("ecosystems", ())) or ["Debian"]
    of = {version: ecosystem for ecosystem, version in case.told.get("places", ())}
    return tuple(
        Product(_purl(of.get(version, ecosystems[0]), case.package, version), f"{case.package} {version}")
        for version in sorted(versions)
    )


def _purl(ecosystem: str, package: str, version: str) -> str:
    if not is_vendor(ecosystem):
        return language_purl(ecosystem, package, version)
    vendor, _, release = ecosystem.partition(":")
    distro = f"&distro={vendor.lower()}-{release}" if release else ""
    # A plus, a tilde and a colon in a version are escaped or not by the rules of package URLs.
    place = f"pkg:{_kind(ecosystem)}/{vendor.lower().replace(' ', '')}/{quote(package)}"
    return f"{place}@{quote(version, safe=':~')}?arch=source{distro}"
