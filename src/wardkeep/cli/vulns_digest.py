"""`wardkeep vulns digest`: the day's page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from wardkeep.cli.options import Json, State
from wardkeep.core.errors import BadInput


def digest(
    out: Annotated[Path | None, typer.Option("--out", help="A file to write: .md, .html or .json.")] = None,
    send: Annotated[bool, typer.Option("--send", help="Give it to every alert channel too.")] = False,
    state: State = None,
    json: Json = False,
) -> None:
    """One page that a person reads in a minute: which flaws are new, late and due, what was mended, how long that takes.

    Example: wardkeep vulns digest --out today.html. Exit status: 0 nothing is late or undecided, 1 something is, 2 nobody to send
    it to, 3 there are no advisories to stand on.
    """
    from wardkeep.cli.pages import write_page
    from wardkeep.cli.terminal import console, note, print_json
    from wardkeep.engine.alerts import alert
    from wardkeep.engine.flaw_review.digest import as_html, as_text, headline
    from wardkeep.engine.flaw_review.digest import digest as made
    from wardkeep.engine.flaw_review.sending import send_digest
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform

    now = datetime.now(UTC)
    with open_platform(find_folder(state)) as platform:
        told = made(platform, now)
        sent = send_digest(platform, now) if send else []
        if sent:
            alert(platform, now)
    if send and not sent:
        raise BadInput(
            "there is no channel to send it over", todo="Add an address under `[alerts]` in wardkeep.toml."
        )
    data = {**told, "last_review": told["last_review"] and told["last_review"].isoformat()}
    if out is not None:
        write_page(out, "digest's", data, {".md": lambda: as_text(told), ".html": lambda: as_html(told)})
    if json:
        print_json(data)
    elif out is not None:
        console().print(f"{out}: {headline(told)}")
    else:
        console().print(as_text(told), soft_wrap=True)
    if sent:
        note(f"given to {', '.join(sent)}")
    counts = told["counts"]
    unknown = bool(told["troubles"]) and not told["built"]
    raise typer.Exit(3 if unknown else 1 if counts["late"] or counts["undecided"] else 0)
