"""The acts of `wardkeep allowlist review`."""

from __future__ import annotations

from pathlib import Path

import typer
from rich.text import Text

from wardkeep.allowlists.campaign import COMPLETE, DECISIONS, Campaign
from wardkeep.allowlists.minutes import as_html, as_markdown
from wardkeep.allowlists.views import entries_told
from wardkeep.cli.allowlist import day
from wardkeep.cli.pages import write_page
from wardkeep.cli.terminal import console, print_json, table
from wardkeep.core.errors import BadInput
from wardkeep.engine.allowlist_review import (
    campaign_named,
    close_campaign,
    minutes_of,
    sign,
    start_campaign,
)
from wardkeep.engine.folder import find_folder
from wardkeep.engine.platform import Platform, open_platform, operator

ACTS = ("status", "start", "sign", "minutes", "close")


def run(
    act: str,
    said: list[str],
    decision: str,
    until: str,
    says: str,
    reviewer: str,
    campaign: str,
    out: Path | None,
    state: Path | None,
    json: bool,
) -> None:
    """Carry out one act and show where the campaign stands. Raises BadInput."""
    if act not in ACTS:
        raise BadInput(f"`{act}` is no act of a review", todo=f"Write {', '.join(ACTS)}.")
    if said and act != "sign":
        raise BadInput("only `sign` names entries")
    with open_platform(find_folder(state)) as platform:
        if act == "minutes":
            known = campaign_named(platform, campaign)
            _minutes(platform, known.name, out, json)
        else:
            known = _act(platform, act, said, decision, until, says, reviewer, campaign)
            _show(known, json)
    raise typer.Exit(0 if known.state == COMPLETE else 1)


def _act(
    platform: Platform,
    act: str,
    said: list[str],
    decision: str,
    until: str,
    says: str,
    reviewer: str,
    campaign: str,
) -> Campaign:
    by = operator()
    if act == "start":
        return start_campaign(platform, by, campaign)
    if act == "close":
        return close_campaign(platform, by, says=says, name=campaign)
    if act == "sign":
        if not said:
            raise BadInput("nothing is signed", todo="Name entries by id or network.")
        return sign(
            platform,
            said,
            decision,
            reviewer=reviewer or by.removeprefix("operator:"),
            by=by,
            says=says,
            until=day(until, ahead=True) if until else None,
            name=campaign,
        )
    return campaign_named(platform, campaign)


def _minutes(platform: Platform, name: str, out: Path | None, json: bool) -> None:
    told = minutes_of(platform, name)
    if out is None:
        print_json(told) if json else console().print(as_markdown(told), soft_wrap=True)
        return
    write_page(out, "minutes'", told, {".html": lambda: as_html(told), ".md": lambda: as_markdown(told)})
    if json:
        print_json({"file": str(out), "state": told["state"], "counts": told["counts"]})
    else:
        console().print(f"{out}: {told['state']}, {entries_told(told['counts']['left'])} left.")


def _show(campaign: Campaign, json: bool) -> None:
    counts = campaign.counts()
    if json:
        print_json(
            {
                "campaign": campaign.name,
                "state": campaign.state,
                "begun": campaign.begun,
                "entries": len(campaign.entries),
                "counts": counts,
                "left": [dict(campaign.entries[entry]) for entry in campaign.left],
            }
        )
        return
    out = console()
    told = ", ".join(f"{counts[name]} {name}" for name in (*DECISIONS.values(), "left"))
    out.print(f"Campaign {campaign.name}, {campaign.state}: {entries_told(len(campaign.entries))}, {told}.")
    if campaign.left:
        made = table(("left", {"overflow": "fold", "ratio": 1}), ("owner", {}), ("until", {"no_wrap": True}))
        for entry in campaign.left[:100]:
            view = campaign.entries[entry]
            what = f"{view['list']}: {view['network']} → {view['service']}\n{view['id']} · {view['reason']}"
            made.add_row(Text(what), Text(view["owner"] or "nobody"), view["expires"] or "no end")
        out.print(made)
