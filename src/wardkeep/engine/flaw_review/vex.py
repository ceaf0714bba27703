"""VEX in and out: what others state about our packages becomes decisions, and what was decided here is stated to others.

A statement is taken for a case only where it names the flaw and the package, speaks of every version that is installed, gives a
reason, and nobody decided yet. "Fixed" and "affected" are not taken: the looks at the hosts say that better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from wardkeep.advisories.ecosystems import family, is_vendor
from wardkeep.advisories.inventories.sbom import Purl, package_of, read_purl
from wardkeep.advisories.inventories.sbom_out import KINDS
from wardkeep.advisories.inventories.sbom_out import purl as language_purl
from wardkeep.advisories.vex import Document, Product, Statement, read_vex
from wardkeep.core.errors import BadInput
from wardkeep.engine.flaw_review import KIND, ROW, acts
from wardkeep.engine.flaw_review.cases import Case, CaseAsset, assets_by_case, read_cases
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
        concerned = [case for case in cases if _speaks_of(statement, case)]
        unmatched += not concerned
        for case in concerned:
            why = "taken already" if case.key in done else _refusal(statement, case, assets.get(case.key, []))
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


def _speaks_of(statement: Statement, case: Case) -> bool:
    names = {case.flaw, *case.told.get("aliases", ())}
    return bool(names & set(statement.names)) and any(_versions(statement, case))


def _versions(statement: Statement, case: Case) -> Iterator[str]:
    """The versions of the case's package that the statement names; `*` for all of them."""
    for product in statement.products:
        purl = read_purl(product.purl)
        if purl is not None and _is_of(purl, case):
            yield _version(purl) or "*"


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


def _refusal(statement: Statement, case: Case, assets: list[CaseAsset]) -> str:
    """Why the statement is not taken for the case; "" when it is."""
    if statement.status != "not_affected":
        return f"it says {statement.status.replace('_', ' ')}: the looks at the hosts decide that"
    if not statement.justification and not statement.says:
        return "it gives no reason"
    if case.decision:
        return f"decided already: {case.decision.replace('_', ' ')} by {case.decided_by}"
    named = set(_versions(statement, case))
    other = sorted({one.version for one in assets} - named)
    if other and "*" not in named:
        return f"it does not speak of the installed {', '.join(other)}"
    return ""


def export_vex(platform: Platform, now: datetime, author: str) -> Document:
    """What is known and decided of every case, as statements about packages; hosts are not named. Raises BadInput without cases."""
    renew(platform, now)
    with platform.store.read() as connection:
        cases = read_cases(platform, connection, closed=True)
        assets = assets_by_case(connection, closed=True)
    told_of = [_statement(case, assets.get(case.key, [])) for case in cases]
    made = [statement for statement in told_of if statement is not None]
    if not made:
        raise BadInput("there is nothing to state: no flaw ever concerned the fleet")
    told = "\n".join(map(repr, made))
    number = hashlib.sha256(f"{author}\n{told}".encode()).hexdigest()[:24]
    return Document(f"https://wardkeep.invalid/vex/{number}", author, timestamp(now), "", tuple(made))


def _statement(case: Case, assets: list[CaseAsset]) -> Statement | None:
    names = (case.flaw, *case.told.get("aliases", ()))
    if case.closed is not None:
        # The version that mends it is what is stated; where no feed names one, there is nothing to state.
        versions = {one.fixed for one in assets if one.how == FIXED and one.fixed}
        at = timestamp(case.closed)
        return Statement(names, "fixed", _products(case, versions), at=at) if versions else None
    products = _products(case, {one.version for one in assets if one.closed is None})
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
