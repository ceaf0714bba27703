"""Renewing the database: from a folder (no network), or by conditional requests; a feed that shrank keeps the old one in place."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wardkeep.advisories.build import Builder
from wardkeep.advisories.database import Database
from wardkeep.advisories.documents import Limits, documents
from wardkeep.core.collector import collector_paused
from wardkeep.core.errors import BadInput, Unavailable, WardkeepError

FILE = "advisories.db"
NEWS = "last-update.json"
FETCHED = "fetched"
SHRANK = " shrank from "
SHRUNK = 0.8  # a feed with less than this part of its entries before is held to be cut
OSV = "https://osv-vulnerabilities.storage.googleapis.com"
# File name → public address. A mirror serves the same names; `feeds.json` in the state folder replaces this table.
ADDRESSES: Mapping[str, str] = {
    "debian-tracker.json": "https://security-tracker.debian.org/tracker/data/json",
    "DSA.list": "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data/DSA/list",
    "DLA.list": "https://salsa.debian.org/security-tracker-team/security-tracker/-/raw/master/data/DLA/list",
    "kev.json": "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
    "epss.csv.gz": "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
    **{
        f"osv-{name}.zip": f"{OSV}/{name}/all.zip"
        for name in ("PyPI", "npm", "RubyGems", "Go", "crates.io", "Maven", "Packagist", "NuGet")
    },
}


@dataclass(slots=True)
class Update:
    """What an update did. `replaced` is false when the old database was kept, and `problems` says why."""

    replaced: bool = False
    documents: int = 0
    unread: dict[str, int] = field(default_factory=dict)  # documents no feed knows, by their ending
    problems: list[str] = field(default_factory=list)


def update_from_folder(
    source: Path, folder: Path, now: datetime, *, accept_shrunken: bool = False, limits: Limits | None = None
) -> Update:
    """Build the database in `folder` from everything in `source`. Raises BadInput when nothing there is a feed."""
    if not source.exists():
        raise BadInput("no such file or folder", where=str(source))
    with collector_paused():
        return _from_folder(source, folder, now, accept_shrunken, limits or Limits())


def _from_folder(source: Path, folder: Path, now: datetime, accept_shrunken: bool, limits: Limits) -> Update:
    builder, done = Builder(), Update()
    newest_file: dict[str, float] = {}  # by feed: what else lies in the folder says nothing of its age
    for one in _files(source):
        before = {name: count.entries for name, count in builder.feeds.items()}
        place = f"{one.parent.relative_to(source)}/" if one.parent != source and one != source else ""
        known = len(builder.doubts)
        try:
            for document in documents(one, limits):
                done.documents += builder.take(document)
        except BadInput as e:
            done.problems.append(place + e.line())
        builder.doubts[known:] = [place + doubt for doubt in builder.doubts[known:]]
        for name, count in builder.feeds.items():
            if count.entries != before.get(name):
                newest_file[name] = max(newest_file.get(name, 0.0), one.stat().st_mtime)
    done.unread = dict(builder.strange)
    if not builder.feeds:
        wrong = done.problems + builder.doubts
        more = f" ({len(wrong) - 1:,} more files could not be read)" if len(wrong) > 1 else ""
        raise BadInput(
            wrong[0] + more if wrong else "no file here is a feed this engine reads",
            where=str(source),
            todo="See `wardkeep vulns feeds` for the feeds.",
        )
    # Data from a folder are as old as their own newest day; where they name none, as old as the newest file of them.
    taken: dict[str, str] = {}
    for name, count in builder.feeds.items():
        of_file = datetime.fromtimestamp(newest_file.get(name, 0.0), UTC)
        at = datetime.fromisoformat(f"{count.newest}T23:59:59+00:00") if count.newest else of_file
        taken[name] = min(at, now).isoformat(timespec="seconds")
    return _put_in_place(builder, folder, now, taken, done, accept_shrunken)


def update_by_network(
    folder: Path,
    now: datetime,
    *,
    base: str = "",
    accept_shrunken: bool = False,
    limits: Limits | None = None,
) -> Update:
    """Ask each address for what is new, keep the copies under `folder`, build from them. `base` is a mirror's address.

    An address that cannot be reached leaves its last copy in use, with its age; it is a problem, not an end.
    """
    addresses = _addresses(folder)
    if base:
        addresses = {name: f"{base.rstrip('/')}/{name}" for name in addresses}
    kept = folder / FETCHED
    kept.mkdir(parents=True, exist_ok=True)
    done = Update()
    for name, address in addresses.items():
        try:
            fetch(address, kept / name, now, limits or Limits())
        except WardkeepError as e:
            done.problems.append(e.line())
    with collector_paused():
        return _from_copies(folder, addresses, now, done, accept_shrunken, limits or Limits())


def _from_copies(
    folder: Path,
    addresses: Mapping[str, str],
    now: datetime,
    done: Update,
    accept_shrunken: bool,
    limits: Limits,
) -> Update:
    builder, taken = Builder(), dict[str, str]()
    for one in sorted((folder / FETCHED).iterdir()):
        if one.name not in addresses:
            continue
        before = {name: count.entries for name, count in builder.feeds.items()}
        try:
            for document in documents(one, limits):
                done.documents += builder.take(document)
        except BadInput as e:
            done.problems.append(e.line())
        at = _noted(one).get("confirmed", "")
        for name, count in builder.feeds.items():
            if count.entries != before.get(name):
                taken[name] = min(taken.get(name, at), at)
    if not builder.feeds:
        raise Unavailable(
            done.problems[0] if done.problems else "no feed could be read",
            todo="Check the network, or use `wardkeep vulns update --from FOLDER`.",
        )
    return _put_in_place(builder, folder, now, taken, done, accept_shrunken)


def fetch(address: str, target: Path, now: datetime, limits: Limits) -> bool:
    """Get one file if it changed; True when it did. Written beside and renamed. Raises Unavailable or BadInput."""
    if not address.startswith(("https://", "http://")):
        raise BadInput("is no http address", where=address)
    noted = _noted(target) if target.exists() else {}
    request = urllib.request.Request(address, headers={"User-Agent": "wardkeep"})  # noqa: S310  checked above
    if noted.get("etag"):
        request.add_header("If-None-Match", noted["etag"])
    if noted.get("modified"):
        request.add_header("If-Modified-Since", noted["modified"])
    partial = target.with_name(f".{target.name}.part")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            size = 0
            with partial.open("wb") as file:
                while block := answer.read(1 << 20):
                    size += len(block)
                    if size > 4 * limits.one:
                        raise BadInput(f"is larger than {4 * limits.one >> 20} MB", where=address)
                    file.write(block)
            expected = answer.headers.get("Content-Length")
            if expected and int(expected) != size:
                raise Unavailable(f"ended after {size} of {expected} bytes", where=address)
            noted = {
                "etag": answer.headers.get("ETag", ""),
                "modified": answer.headers.get("Last-Modified", ""),
            }
        os.replace(partial, target)
        changed = True
    except urllib.error.HTTPError as e:
        if e.code != 304:
            raise Unavailable(f"answered {e.code}", where=address) from None
        changed = False
    except (OSError, ValueError) as e:
        raise Unavailable(f"cannot be reached: {getattr(e, 'reason', e)}", where=address) from None
    finally:
        partial.unlink(missing_ok=True)
    noted["confirmed"] = now.isoformat(timespec="seconds")
    _note_of(target).write_text(json.dumps(noted))
    return changed


def last_update(folder: Path) -> dict[str, object]:
    """What the last update said: when, and its problems; empty when there was none."""
    try:
        told = json.loads((folder / NEWS).read_text())
        return told if isinstance(told, dict) else {}
    except (OSError, ValueError):
        return {}


def held_back(folder: Path) -> list[str]:
    """Why the last update left the old database in place, a line for each feed that shrank; empty when it did not."""
    news = last_update(folder)
    problems = news.get("problems")
    if news.get("replaced", True) or not isinstance(problems, list):
        return []
    return [str(one) for one in problems if SHRANK in str(one)] or [str(one) for one in problems[-1:]]


def _put_in_place(
    builder: Builder,
    folder: Path,
    now: datetime,
    taken: Mapping[str, str],
    done: Update,
    accept_shrunken: bool,
) -> Update:
    done.problems += builder.doubts
    path = folder / FILE
    before: dict[str, int] = {}
    seen: dict[str, str] = {}
    if path.exists():
        try:
            old = Database(path)
            before = {feed.name: feed.entries for feed in old.feeds(now)}
            seen = {flaw.id: flaw.seen for flaw in old.flaws()}
            old.close()
        except Unavailable as e:
            done.problems.append(e.line())
    shrunken = []
    for name, entries in before.items():
        now_has = builder.feeds[name].entries if name in builder.feeds else 0
        if now_has < entries * SHRUNK:
            shrunken.append(f"{name}{SHRANK}{entries:,} to {now_has:,} entries")
    done.problems += shrunken
    if shrunken and not accept_shrunken:
        done.problems.append("the old database stays; if the feed is right, run again with --accept-shrunken")
    else:
        builder.write(path, now, seen, taken)
        done.replaced = True
    news = {"at": now.isoformat(timespec="seconds"), "replaced": done.replaced, "problems": done.problems}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NEWS).write_text(json.dumps(news))
    return done


def _files(source: Path) -> Iterable[Path]:
    if source.is_file():
        return [source]
    return sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink())


def _addresses(folder: Path) -> dict[str, str]:
    path = folder / "feeds.json"
    if not path.exists():
        return dict(ADDRESSES)
    try:
        told = json.loads(path.read_text())
        named = {str(name): str(address) for name, address in told.items()}
    except (OSError, ValueError, AttributeError):
        raise BadInput(
            'is no map of file names to addresses, like {"kev.json": "https://…"}', where=str(path)
        ) from None
    if any("/" in name or name.startswith(".") for name in named):
        raise BadInput("a file name holds no `/` and does not begin with a dot", where=str(path))
    return named


def _note_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.json")


def _noted(target: Path) -> dict[str, str]:
    try:
        told = json.loads(_note_of(target).read_text())
        return {str(k): str(v) for k, v in told.items()}
    except (OSError, ValueError, AttributeError):
        return {}


__all__ = [
    "ADDRESSES",
    "FILE",
    "Update",
    "fetch",
    "held_back",
    "last_update",
    "update_by_network",
    "update_from_folder",
]
