"""The minutes of a review campaign: who decided what, when and why, and what was left; as data, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from wardkeep.allowlists.campaign import DECISIONS, INCOMPLETE, OPEN, Campaign
from wardkeep.allowlists.views import entries_told

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1c1c1c}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;vertical-align:top;"
    "padding:.35rem .6rem;border-bottom:1px solid #ccc}th{border-bottom:2px solid #444}"
    ".left{border-left:6px solid #b00020;padding-left:1rem}code{font-size:.9em}"
    "@media print{body{margin:0;max-width:none}}"
)


def minutes(campaign: Campaign, origin: str, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Everything the minutes say, as plain data. `checkpoint` (size, root) ties them to the ledger `origin`."""
    decided = []
    for entry in campaign.entries:
        if one := campaign.decisions.get(entry):
            view = campaign.entries[entry]
            decided.append(
                {
                    **_brief(view),
                    "decision": DECISIONS[one.decision],
                    "until": one.until or None,
                    "reviewer": one.reviewer,
                    "own": one.reviewer.strip().casefold() == view["owner"].strip().casefold(),
                    "by": one.by,
                    "at": one.at,
                    "says": one.says,
                    "ledger_entry": one.index,
                }
            )
    return {
        "campaign": campaign.name,
        "state": campaign.state,
        "begun": campaign.begun,
        "begun_by": campaign.begun_by,
        "ledger_entry": campaign.index,
        "completed": campaign.completed or None,
        "closed": campaign.closed or None,
        "closed_by": campaign.closed_by or None,
        "closing_says": campaign.closing_says,
        "entries": len(campaign.entries),
        "counts": campaign.counts(),
        "reviewers": sorted({one.reviewer for one in campaign.decisions.values()}),
        "decided": decided,
        "left": [_brief(campaign.entries[entry]) for entry in campaign.left],
        "overruled": [
            {"entry": one.entry, "decision": DECISIONS[one.decision], "reviewer": one.reviewer, "at": one.at}
            for one in campaign.overruled
        ],
        "ledger": {"origin": origin, **checkpoint},
    }


def as_markdown(told: Mapping[str, Any]) -> str:
    """The minutes as a page of text; what people wrote cannot break its tables."""
    lines = [f"# Review of the allowlist, {_cell(told['campaign'])}", "", _verdict(told), ""]
    lines += [f"- {_cell(label)}: {_cell(value)}" for label, value in _facts(told)]
    if told["left"]:
        lines += ["", f"## Left undecided: {len(told['left'])}", "", *_table(_LEFT, told["left"])]
    lines += ["", f"## Decided: {len(told['decided'])}", "", *_table(_DECIDED, told["decided"])]
    if told["overruled"]:
        lines += ["", "## Decided again later", "", *_table(_OVERRULED, told["overruled"])]
    return "\n".join([*lines, "", _proof(told), ""])


def as_html(told: Mapping[str, Any]) -> str:
    """The minutes as one page that needs nothing else."""
    title = f"Review of the allowlist, {told['campaign']}"
    facts = "".join(f"<tr><th>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in _facts(told))
    parts = [
        f"<h1>{escape(title)}</h1><p><strong>{escape(_verdict(told))}</strong></p><table>{facts}</table>"
    ]
    if told["left"]:
        parts.append(
            f'<section class="left"><h2>Left undecided: {len(told["left"])}</h2>{_html_table(_LEFT, told["left"])}</section>'
        )
    parts.append(f"<h2>Decided: {len(told['decided'])}</h2>{_html_table(_DECIDED, told['decided'])}")
    if told["overruled"]:
        parts.append(f"<h2>Decided again later</h2>{_html_table(_OVERRULED, told['overruled'])}")
    parts.append(f"<p>{escape(_proof(told))}</p>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


_ENTRY = (
    ("entry", "what"),
    ("owner", "owner"),
    ("reason", "reason"),
    ("ticket", "ticket"),
    ("held until", "expires"),
)
_LEFT = _ENTRY
_DECIDED = (
    *_ENTRY,
    ("decision", "decision"),
    ("extended to", "until"),
    ("reviewer", "reviewer"),
    ("when (UTC)", "at"),
    ("why", "says"),
    ("ledger", "ledger_entry"),
)
_OVERRULED = (("entry", "entry"), ("decision", "decision"), ("reviewer", "reviewer"), ("when (UTC)", "at"))


def _brief(view: Mapping[str, Any]) -> dict[str, Any]:
    deny = "deny " if view["action"] == "deny" else ""
    return {
        "id": view["id"],
        "what": f"{view['list']}: {deny}{view['network']} → {view['service']}",
        **{key: view[key] for key in ("owner", "reason", "ticket", "created", "expires")},
    }


def _verdict(told: Mapping[str, Any]) -> str:
    counts = told["counts"]
    done = f"{counts['kept']} kept, {counts['extended']} extended, {counts['removed']} removed"
    of_all = f"{counts['left']} of {entries_told(told['entries'])} undecided; {done}."
    if told["state"] == OPEN:
        return f"NOT COMPLETE: still open, {of_all}"
    if told["state"] == INCOMPLETE:
        return f"NOT COMPLETE: closed with {of_all}"
    some = "the one entry" if told["entries"] == 1 else f"all {told['entries']:,} entries"
    return f"Complete: {some} decided; {done}."


def _facts(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [
        ("Begun", f"{told['begun']} by {told['begun_by']}"),
        ("Reviewers", ", ".join(told["reviewers"]) or "none"),
        ("Entries decided by their own owner", str(sum(one["own"] for one in told["decided"]))),
    ]
    if told["completed"]:
        found.append(("Completed", str(told["completed"])))
    if told["closed"]:
        said = f": {told['closing_says']}" if told["closing_says"] else ""
        found.append(("Closed", f"{told['closed']} by {told['closed_by']}{said}"))
    return found


def _proof(told: Mapping[str, Any]) -> str:
    ledger = told["ledger"]
    return (
        f"Made from the ledger {ledger['origin']}, entry {told['ledger_entry']} and those named above, at size "
        f"{ledger['size']} with root {ledger['root']}. Verify an exported pack: wardkeep evidence verify."
    )


def _table(columns: tuple[tuple[str, str], ...], rows: list[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return ["None."]
    head = ["| " + " | ".join(label for label, _ in columns) + " |", "|" + "---|" * len(columns)]
    return head + ["| " + " | ".join(_cell(row[key]) for _, key in columns) + " |" for row in rows]


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return " ".join(escape(text, quote=False).replace("|", "\\|").split())


def _html_table(columns: tuple[tuple[str, str], ...], rows: list[Mapping[str, Any]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(label)}</th>" for label, _ in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape('' if row[k] is None else str(row[k]))}</td>" for _, k in columns)
        + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
