"""The pack's page: a person opens it in a browser or prints it. Static, no script, made from the entries alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, TextIO

from wardkeep.ledger.note import Checkpoint
from wardkeep.ledger.selection import Summary, outcome, state_of

SHAPES = {"pass": "●", "fail": "▲", "unknown": "?"}
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%;margin:1rem 0 2rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .75rem .35rem 0;border-bottom:1px solid #d5dae0}
th{border-bottom:2px solid #8a929b}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
code{font:14px/1.4 ui-monospace,monospace;overflow-wrap:anywhere}dt{font-weight:600}dd{margin:0 0 .5rem}
.pass{color:#0b5d33}.fail{color:#a3170f;font-weight:600}.unknown{color:#7a4b00;font-weight:600}.clock{color:#a3170f}
@media(prefers-color-scheme:dark){body{color:#e7eaee;background:#15181c}th,td{border-color:#3a4149}
.pass{color:#6fd49b}.fail,.clock{color:#ff9a8f}.unknown{color:#f0c36a}}
@media print{body{font-size:10pt;max-width:none;color:#000;background:#fff}tr{break-inside:avoid}thead{display:table-header-group}}
"""


def write_head(out: TextIO, summary: Summary, facts: Mapping[str, str], titles: Mapping[str, str]) -> None:
    """Everything above the table of entries. `facts` are the pack's own: label → text."""
    matrix = summary.standing.matrix()
    states = {control: state_of(counts) for control, counts in matrix.items()}
    held = sum(state == "pass" for state in states.values())
    out.write('<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Evidence pack</title>\n')
    out.write('<meta name="viewport" content="width=device-width, initial-scale=1">\n')
    out.write(f"<style>{STYLE}</style></head><body>\n")
    if states:
        out.write(f"<h1>{held} of {len(states)} rows hold at the end of this range</h1>\n")
    else:
        out.write("<h1>No assessment lies in this range</h1>\n")
    out.write("<dl>")
    for label, text in facts.items():
        out.write(f"<dt>{escape(label)}</dt><dd><code>{escape(text)}</code></dd>")
    out.write("</dl>\n")
    out.write(
        "<p>This page is a reading of the entries beside it; the entries are the evidence. "
        "Whether they are what was signed is said by <code>wardkeep evidence verify</code>, not by this page.</p>\n"
    )
    if states:
        out.write("<h2>The matrix at the end</h2>\n<table><thead><tr><th>State<th>Row")
        out.write('<th class="n">Pass<th class="n">Fail<th class="n">Unknown</tr></thead><tbody>\n')
        for control in sorted(
            states, key=lambda name: (("fail", "unknown", "pass").index(states[name]), name)
        ):
            counts, state = matrix[control], states[control]
            out.write(
                f'<tr><td class="{state}">{SHAPES[state]} {state}<td>{escape(titles.get(control, control))}'
            )
            out.write("".join(f'<td class="n">{counts[v]}' for v in SHAPES) + "</tr>\n")
        out.write(
            "</tbody></table>\n<h2>Hosts, as last assessed</h2>\n<table><thead><tr><th>Host<th>Assessed"
        )
        out.write('<th>Profile<th class="n">Entry</tr></thead><tbody>\n')
        for look in summary.standing.looks:
            out.write(f"<tr><td>{escape(look.host)}<td>{escape(look.at)}<td>{escape(look.profile)}")
            out.write(f'<td class="n">{look.index}</tr>\n')
        out.write("</tbody></table>\n")
    out.write('<h2>Entries</h2>\n<table><thead><tr><th class="n">Entry<th>Time (UTC)<th>Who<th>What<th>About')
    out.write("<th>Outcome<th>Blobs</tr></thead><tbody>\n")


def write_row(out: TextIO, index: int, entry: Mapping[str, Any]) -> None:
    about = " ".join(f"{key} {value}" for key, value in entry["subject"].items())
    blobs = "<br>".join(f"{escape(b['name'])} <code>{b['digest'][7:19]}</code>" for b in entry["blobs"])
    said = escape(outcome(entry))
    if "clock" in entry:
        said += f' <span class="clock">▲ the clock was {escape(entry["clock"])}</span>'
    out.write(f'<tr id="e{index}"><td class="n">{index}<td>{escape(entry["at"])}<td>{escape(entry["actor"])}')
    out.write(f"<td>{escape(entry['kind'])}<td>{escape(about)}<td>{said}<td>{blobs}</tr>\n")


def write_tail(out: TextIO) -> None:
    out.write("</tbody></table></body></html>\n")


def facts_of(
    head: Checkpoint, start: int, end: int, summary: Summary, left_out: int, key: str
) -> dict[str, str]:
    """What stands at the top of the page and of the README."""
    made = {
        "Ledger": head.origin,
        "Entries": f"{start} to {end - 1} of {head.size}" if end > start else f"none of {head.size}",
        "From": summary.first_at or "-",
        "To": summary.last_at or "-",
    }
    if summary.control:
        made["Only about"] = summary.control
        made["Left out"] = (
            f"{left_out} entries of the range that do not concern it; their hashes are in the proof"
        )
    return {**made, "Root": head.root.hex(), "Key": key}
