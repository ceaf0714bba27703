"""`wardkeep vulns`: which published flaws concern a host, a root folder, a bill of materials or a lock file; offline."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wardkeep.cli import vulns_digest, vulns_kept, vulns_review, vulns_sbom, vulns_vex
from wardkeep.cli.options import Json, State
from wardkeep.cli.vulns_target import Image, Target, folder_of, read_target
from wardkeep.core.errors import BadInput

if TYPE_CHECKING:
    from wardkeep.advisories.database import Database
    from wardkeep.advisories.matching import Deadlines

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=__doc__)
app.add_typer(vulns_review.app, name="review", help="The review queue, and a reviewer's decisions.")
app.add_typer(vulns_vex.app, name="vex", help="VEX statements in and out: OpenVEX, CycloneDX, CSAF.")
app.command("kept")(vulns_kept.kept)
app.command("forget")(vulns_kept.forget)
app.command("digest")(vulns_digest.digest)
app.command("sbom")(vulns_sbom.sbom)


@app.command()
def scan(
    target: Target = "",
    image: Image = "",
    everything: Annotated[
        bool, typer.Option("--all", help="Also what does not concern it, each with the reason.")
    ] = False,
    keep: Annotated[
        str, typer.Option("--keep", metavar="NAME", help="Keep it in the review queue under this name.")
    ] = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Which flaws concern what is installed; each with state, severity and whose, deadline and why.

    A target is this machine, a host of the inventory, a container image (archive of docker or podman save, OCI layout), the
    root folder of a system or an archive of it, a project's folder, a bill of materials (CycloneDX, SPDX), a lock file, a
    jar or a program. Example: wardkeep vulns scan image.tar --json. Exit status: 0 nothing is affected, 1 something is, 2 the
    target cannot be read, 3 nothing is, but something is unknown: no database, one too old to trust, or a part that could not be read.
    """
    from wardkeep.advisories.coverage import unasked
    from wardkeep.advisories.matching import Matcher, foreign_notices
    from wardkeep.cli.terminal import print_json
    from wardkeep.cli.vulns_shown import (
        FAILING,
        plain,
        plain_finding,
        plain_notice,
        pressing,
        show,
        show_the_rest,
    )

    folder = folder_of(state)
    db = _database(folder)
    now = datetime.now(UTC)
    inventory = read_target(target, folder, now, image)
    if keep:
        vulns_kept.keep_found(folder, keep, inventory)
    matcher = Matcher(db, _deadlines(folder))
    found = sorted(matcher.matches(inventory.components, dismissed=everything), key=pressing)
    inventory.notices += foreign_notices(inventory.components)
    unknown = unasked(db, inventory, now)
    if json:
        print_json(
            {
                "target": inventory.name,
                "release": " ".join(inventory.release).strip(),
                "packages": len(inventory.components),
                "database": {"built": db.meta["built"], "unknown": unknown},
                "covered": inventory.covered,
                "notices": [plain_notice(one) for one in inventory.notices],
                "findings": [
                    *(plain(one, now) for one in found),
                    *filter(None, map(plain_finding, inventory.notices)),
                ],
            }
        )
    else:
        show(inventory, found, unknown, db, now)
        if everything:
            show_the_rest(found)
    states = {one.state.value for one in found}
    failing = states.intersection(FAILING) or any(
        one.kind == "unsupported_release" and not one.is_unknown for one in inventory.notices
    )
    if failing:
        raise typer.Exit(1)
    is_unknown = unknown or "unknown" in states or any(one.is_unknown for one in inventory.notices)
    raise typer.Exit(3 if is_unknown else 0)


@app.command()
def update(
    source: Annotated[
        str,
        typer.Option(
            "--from", metavar="FOLDER|URL", help="A folder (no network is used) or a mirror's address."
        ),
    ] = "",
    accept_shrunken: Annotated[
        bool, typer.Option("--accept-shrunken", help="Take a feed that lost a fifth or more of its entries.")
    ] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """Renew the local database, from the network or from a folder of feed files; one that is cut leaves the old in place.

    Example: wardkeep vulns update --from /media/feeds. Exit status: 0; 1 when the old database or an old copy of a feed stays;
    2 when nothing there is a feed.
    """
    from wardkeep.advisories import updating
    from wardkeep.cli.terminal import note, print_json
    from wardkeep.cli.vulns_shown import told_once

    folder, now = folder_of(state), datetime.now(UTC)
    if source and not source.startswith(("http://", "https://")):
        done = updating.update_from_folder(
            Path(os.path.expanduser(source)), folder, now, accept_shrunken=accept_shrunken
        )
    else:
        done = updating.update_by_network(folder, now, base=source, accept_shrunken=accept_shrunken)
    db = _database(folder)
    if json:
        print_json(
            {
                "replaced": done.replaced,
                "documents": done.documents,
                "unread": done.unread,
                "problems": done.problems,
                "rows": int(db.meta["rows"]),
                "flaws": int(db.meta["flaws"]),
                "bytes": db.path.stat().st_size,
            }
        )
    else:
        for line in told_once(done.problems):
            note(line)
        if done.unread:
            kinds = ", ".join(
                f"{count} {'without an ending' if kind == 'none' else kind}"
                for kind, count in sorted(done.unread.items())
            )
            note(f"not a feed, left out: {kinds}")
        size = db.path.stat().st_size / 1e6
        typer.echo(
            f"{'Database renewed' if done.replaced else 'The old database stays'}: {int(db.meta['flaws']):,} flaws, "
            f"{int(db.meta['rows']):,} rows, {size:.1f} MB. {done.documents:,} documents read."
        )
    raise typer.Exit(1 if done.problems else 0)


@app.command()
def feeds(state: State = None, json: Json = False) -> None:
    """The feeds in the database: how much each holds, how old it is, whether it can be trusted.

    Example: wardkeep vulns feeds. Exit status: 0 all fresh; 1 the last update kept something old; 3 a feed is stale.
    """
    from dataclasses import asdict

    from wardkeep.advisories.updating import last_update
    from wardkeep.cli.terminal import ago, console, note, print_json, table
    from wardkeep.cli.vulns_shown import told_once

    folder, now = folder_of(state), datetime.now(UTC)
    db = _database(folder)
    told = db.feeds(now)
    news = last_update(folder)
    told_problems = news.get("problems")
    problems = [str(one) for one in told_problems] if isinstance(told_problems, list) else []
    if json:
        print_json({"built": db.meta["built"], "feeds": [asdict(one) for one in told], "problems": problems})
    else:
        made = table("feed", ("entries", {"justify": "right"}), "newest", "data of", "")
        for one in told:
            made.add_row(
                one.title,
                f"{one.entries:,}",
                one.newest or "-",
                ago(one.taken, now),
                "stale" if one.is_stale else "fresh",
            )
        out = console()
        out.print(made)
        out.print(
            f"{int(db.meta['flaws']):,} flaws, {int(db.meta['rows']):,} rows, built {db.meta['built']}."
        )
        for line in told_once(problems):
            note(line)
    raise typer.Exit(3 if any(one.is_stale for one in told) else 1 if problems else 0)


@app.command()
def why(
    flaw: Annotated[str, typer.Argument(metavar="ID", help="CVE-…, GHSA-…, DSA-…: any of its names.")],
    package: Annotated[str, typer.Argument(metavar="PACKAGE", help="A package, or its source package.")],
    target: Target = "",
    image: Image = "",
    state: State = None,
    json: Json = False,
) -> None:
    """Why a flaw concerns a package or does not: every row of every feed, and the comparison made with it.

    Example: wardkeep vulns why CVE-2024-6387 openssh-server. Exit status: 0 told; 2 no such flaw or package; 3 no database.
    """
    from wardkeep.advisories.matching import Matcher, severity_of
    from wardkeep.advisories.severity import words_of
    from wardkeep.cli.terminal import print_json
    from wardkeep.core.printable import printable

    folder = folder_of(state)
    db = _database(folder)
    numbers = db.numbers(flaw.upper() if flaw.lower().startswith("cve-") else flaw)
    if not numbers:
        raise BadInput(
            f"the database knows no flaw called `{flaw}`", todo="It may be newer: see `wardkeep vulns feeds`."
        )
    inventory = read_target(target, folder, datetime.now(UTC), image)
    having = [c for c in inventory.components if package == c.name or package in c.binaries]
    if not having:
        raise BadInput(f"no package there is called `{package}`", where=inventory.name)
    told: list[dict[str, Any]] = []
    for number in numbers:
        for component in having:
            rows = Matcher(db).why(component, number)
            held = db.flaw(number)
            label, source, _ = severity_of(held, component.ecosystem)
            told.append(
                {
                    "id": held.id,
                    "package": component.name,
                    "version": component.version,
                    "ecosystem": component.ecosystem,
                    "severity": label,
                    "severity_source": source,
                    "summary": held.summary,
                    "rows": [
                        {
                            "state": verdict.value,
                            "feed": db.feed_names.get(row.feed, ""),
                            "introduced": row.introduced,
                        }
                        | {"fixed": row.fixed, "advisory": row.advisory, "note": row.note, "why": because}
                        for verdict, row, because in rows
                    ],
                }
            )
    if json:
        print_json(told)
        return
    for one in told:
        typer.echo(f"{one['id']}  {one['package']} {one['version']} ({one['ecosystem']})")
        if one["summary"]:
            typer.echo(f"  {printable(one['summary'])}")
        typer.echo(f"  severity {words_of(one['severity'], one['severity_source'])}")
        for row in one["rows"]:
            typer.echo(f"  {row['state'].replace('_', ' ')}: {printable(row['why'])}")
        if not one["rows"]:
            typer.echo(f"  no feed here says that it concerns {one['package']} in {one['ecosystem']}")


def _database(folder: Path) -> Database:
    """The database; a missing one ends the program with status 3, in one line."""
    from wardkeep.advisories.database import Database
    from wardkeep.advisories.updating import FILE
    from wardkeep.core.errors import Unavailable

    try:
        return Database(folder / FILE)
    except Unavailable as e:
        e.exit_status = 3
        raise


def _deadlines(folder: Path) -> Deadlines:
    """The platform's numbers where there is one, else the default profile's."""
    from wardkeep.advisories.matching import Deadlines
    from wardkeep.core.profiles import HIPAA
    from wardkeep.engine.folder import CONFIG

    if not (folder.parent / CONFIG).is_file():
        return Deadlines.of(HIPAA.numbers)
    from wardkeep.engine.platform import open_platform

    with open_platform(folder.parent) as platform:
        return Deadlines.of(platform.config.numbers)
