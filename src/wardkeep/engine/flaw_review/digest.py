"""The day's digest: one page that a person reads in a minute. What is new, what is late, what is due, what was mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Any

from wardkeep.advisories.updating import held_back
from wardkeep.controls.vulnerability_review import places
from wardkeep.engine.flaw_review.cases import Case, CaseAsset, read_assets, read_cases
from wardkeep.engine.flaw_review.inventory import is_host
from wardkeep.engine.flaw_review.queue import FIXED
from wardkeep.engine.flaw_review.renewing import renew
from wardkeep.engine.flaw_review.told import data_now
from wardkeep.engine.flaw_review.trends import last_review, mended
from wardkeep.engine.folder import ADVISORIES
from wardkeep.engine.platform import Platform

SHOWN = 8  # lines in one list: the page stays one page
NAMED = 3  # flaws of one line that are named
SOON = timedelta(days=7)
STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}"
    "h1{font-size:1.4rem}h2{font-size:1.05rem;margin:1.4rem 0 .3rem}li{margin:.25rem 0}small{color:#555}"
)


def digest(platform: Platform, now: datetime) -> dict[str, Any]:
    """The digest as plain data, up to date. Lists hold at most eight lines, each of the flaws of one package that stand alike
    (`ids`, the most pressing first); how many there are in all is in `counts`. What is late or due is not named as new again."""
    made = renew(platform, now)
    with platform.store.read() as connection:
        still = read_cases(platform, connection)
        fixed = read_assets(connection, how=FIXED, since=now - timedelta(days=1))
        took = mended(platform, connection, now - timedelta(days=90))
        reviewed = last_review(connection)
        built, problems, feeds = data_now(platform, connection, now)
    since = reviewed or now - timedelta(days=1)
    today = now.date()
    late = [case for case in still if case.is_late(now)]
    soon = [case for case in still if case.is_running and today <= case.last_day <= (now + SOON).date()]
    new = [case for case in still if case.opened > since]
    undecided = [case for case in still if not case.decision]
    ending = [case for case in still if case.decision == "waived" and _ends_soon(case, now)]
    troubles = ([made.problem] if made.problem else []) + problems
    held = held_back(platform.folder / ADVISORIES)
    troubles += [f"The last update left the old data in place: {why}" for why in held]
    troubles += _stale([one for one in feeds if one["stale"]], problems, now)
    above = {case.key for case in (*late, *soon)}
    fresh = [case for case in new if case.key not in above]
    waiting = [case for case in undecided if case.opened <= since]
    patient = [case for case in waiting if case.key not in above]

    def shown(some: Sequence[Case]) -> list[dict[str, Any]]:
        with platform.store.read() as connection:
            return [
                _plain(alike, [one for case in alike for one in read_assets(connection, key=case.key)], now)
                for alike in _alike(some)[:SHOWN]
            ]

    return {
        "day": today.isoformat(),
        "built": built,
        "last_review": reviewed,
        "counts": {
            "open": len(still),
            "new": len(new),
            "still_undecided": len(waiting),
            "undecided": len(undecided),
            "late": len(late),
            "soon": len(soon),
            "waived": sum(case.decision == "waived" for case in still),
            "fixed": len(fixed),
            "minor": made.minor,
        },
        "named_above": {"new": len(new) - len(fresh), "still_undecided": len(waiting) - len(patient)},
        "late": shown(sorted(late, key=_by_due)),
        "new": shown(fresh),
        "still_undecided": shown(patient),
        "soon": shown(sorted(soon, key=_by_due)),
        "ending": shown(ending),
        "fixed": [{"id": o.flaw, "package": o.package, "host": o.host} for o in fixed][:SHOWN],
        "mended": [
            {"severity": o.severity, "fixed": o.fixed, "in_time": o.in_time, "mean_days": o.mean_days}
            for o in took
            if o.fixed
        ],
        "troubles": troubles,
    }


def headline(told: Mapping[str, Any]) -> str:
    """One sentence that says how it stands."""
    n = told["counts"]
    if told["troubles"] and not n["open"]:
        return "What concerns the fleet is not known."
    if not n["open"]:
        return "No published flaw concerns the fleet."
    words = [
        f"{n['new']} new",
        f"{n['undecided']} undecided",
        f"{n['late']} late",
        f"{n['soon']} due within a week",
    ]
    many = f"{n['open']:,} flaw{'s concern' if n['open'] != 1 else ' concerns'} the fleet"
    return f"{many}: {', '.join(words)}; {n['fixed']} fixed since yesterday."


def sections(told: Mapping[str, Any], *, brief: bool = False) -> list[tuple[str, list[str]]]:
    """Heads with their lines. `brief` leaves out which hosts and what is installed: it may travel by e-mail."""
    n = told["counts"]

    def lines(name: str) -> list[str]:
        above = told["named_above"].get(name, 0)
        some = [_line(one, brief) for one in told[name]]
        some += _rest(n[name] - above, sum(len(one["ids"]) for one in told[name]))
        return some + _named_above(above, n[name])

    made = [
        ("Late", lines("late")),
        ("New since the last review", lines("new")),
        ("Due within a week", lines("soon")),
        ("Still undecided", lines("still_undecided")),
        ("Waivers that end within two weeks", [_line(case, brief) for case in told["ending"]]),
        ("Fixed since yesterday", _fixed(told, brief)),
        ("Time to fix, last 90 days", [_mended(one) for one in told["mended"]]),
        ("The data", list(told["troubles"])),
    ]
    return [(head, some) for head, some in made if some]


def as_text(told: Mapping[str, Any], *, brief: bool = False) -> str:
    """The digest as Markdown that also reads as plain text."""
    parts = [f"# Published flaws of the fleet, {told['day']}", "", headline(told), _reviewed(told), ""]
    for head, some in sections(told, brief=brief):
        parts += [f"## {head}", "", *(f"- {line}" for line in some), ""]
    return "\n".join([*parts, _foot(told)])


def as_html(told: Mapping[str, Any]) -> str:
    """The digest as one page that needs nothing else."""
    title = f"Published flaws of the fleet, {told['day']}"
    body = [
        f"<h1>{escape(title)}</h1><p><strong>{escape(headline(told))}</strong><br>{escape(_reviewed(told))}</p>"
    ]
    for head, some in sections(told):
        items = "".join(f"<li>{escape(line)}</li>" for line in some)
        body.append(f"<h2>{escape(head)}</h2><ul>{items}</ul>")
    body.append(f"<p><small>{escape(_foot(told))}</small></p>")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _alike(some: Sequence[Case]) -> list[list[Case]]:
    """Cases of one package that stand alike, together: a new version of it mends all of them."""
    made: dict[tuple[Any, ...], list[Case]] = {}
    for case in some:
        word = (case.decision, str(case.said.get("until", "")), _again(case))
        made.setdefault((case.package, case.state, case.severity, bool(case.exploited), word), []).append(
            case
        )
    return list(made.values())


def _stale(feeds: Sequence[Mapping[str, Any]], problems: Sequence[str], now: datetime) -> list[str]:
    """Feeds too old to trust, in one line, but those that a problem names already."""
    rest = [
        one for one in feeds if not any(known.startswith(f"{one['title']} is stale") for known in problems)
    ]
    if len(rest) <= NAMED:
        return [f"{one['title']} is stale" for one in rest]
    named = ", ".join(str(one["title"]) for one in rest[:NAMED])
    return [f"{named} and {len(rest) - NAMED} more feeds are stale: `wardkeep vulns feeds`"]


def _plain(alike: Sequence[Case], some: Sequence[CaseAsset], now: datetime) -> dict[str, Any]:
    case = max(alike, key=lambda one: one.risk)
    last = min(one.last_day for one in alike)
    ids = list(dict.fromkeys([case.flaw, *(one.flaw for one in alike)]))
    return {
        "id": case.flaw,
        "ids": ids,
        "package": case.package,
        "severity": case.severity,
        "exploited": case.exploited,
        "risk": case.risk,
        "because": case.told.get("because", ""),
        "summary": case.told.get("summary", ""),
        "state": case.state,
        "fixed": list(dict.fromkeys(fix for one in alike for fix in one.told.get("fixed", []))),
        "hosts": list(dict.fromkeys(one.host for one in some)),
        "due": last.isoformat(),
        "days_left": (last - now.date()).days,
        "decision": case.decision,
        "until": str(case.said.get("until", "")),
        "again": _again(case),
    }


def _again(case: Case) -> str:
    """Why a case that was decided about is open again."""
    return "" if case.decision else str(case.said.get("says", ""))


def _line(case: Mapping[str, Any], brief: bool) -> str:
    names = case["hosts"]
    count = places(len(names), sum(not is_host(name) for name in names))
    where = count if brief else f"{count} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
    fix = f"fixed by {', '.join(case['fixed'])}" if case["fixed"] and not brief else "fix released"
    fix = fix if case["state"] == "fix_available" else "no released fix"
    left = case["days_left"]
    several = len(case["ids"]) > 1
    clock = "the first " if several else ""
    clock += f"due {case['due']}, " + (f"{left} d left" if left >= 0 else f"{-left} d late")
    if case["decision"] == "waived":
        clock = f"waived until {case['until']}"
    exploited = ", known exploited" if case["exploited"] else ""
    word = "" if case["decision"] in ("", "waived") else f"; {case['decision'].replace('_', ' ')}"
    names_of = f"{case['id']} in {case['package']}"
    if several:
        more = ", …" if len(case["ids"]) > NAMED else ""
        names_of = f"{len(case['ids'])} flaws in {case['package']} ({', '.join(case['ids'][:NAMED])}{more})"
    severity = case["severity"] if case["severity"] != "unknown" else "severity not given"
    told = f"{names_of}: {severity}{exploited}, {where}, {fix}; {clock}{word}."
    again = f" Open again: {case['again']}." if case["again"] else ""
    return told if brief else f"{told}{again} Risk {case['risk']}: {case['because']}."


def _named_above(count: int, new: int) -> list[str]:
    if not count:
        return []
    return [f"{'All' if count == new else 'Also'} {count} that stand above as late or due."]


def _rest(count: int, shown: int) -> list[str]:
    return [f"and {count - shown} more: `wardkeep vulns review`."] if count > shown else []


def _fixed(told: Mapping[str, Any], brief: bool) -> list[str]:
    lines = [f"{o['id']} in {o['package']}" + ("" if brief else f" on {o['host']}") for o in told["fixed"]]
    return list(dict.fromkeys(lines)) + _rest(told["counts"]["fixed"], len(told["fixed"]))


def _mended(one: Mapping[str, Any]) -> str:
    return f"{one['severity']}: {one['fixed']} fixed, {one['mean_days']:.1f} d on average, {one['in_time']} in time"


def _reviewed(told: Mapping[str, Any]) -> str:
    done = told["last_review"]
    return f"Last review on record: {done:%Y-%m-%d %H:%M} UTC." if done else "No review is on record yet."


def _foot(told: Mapping[str, Any]) -> str:
    minor = told["counts"]["minor"]
    return (
        f"{minor:,} more are called minor by the vendor and are not queued. Advisories built {told['built'][:10] or 'never'}. "
        "Decide: `wardkeep vulns review`; then `wardkeep vulns review done`."
    )


def _ends_soon(case: Case, now: datetime) -> bool:
    return str(case.said.get("until", "9999")) <= (now + 2 * SOON).date().isoformat()


def _by_due(case: Case) -> tuple[Any, ...]:
    return case.last_day, -case.risk, case.flaw
