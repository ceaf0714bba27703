"""Reading records of connections: conntrack, Suricata, Zeek, sshd's log, and the sets in which our own table notes who came."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardkeep.allowlists.networks import read_address
from wardkeep.allowlists.usage import NOT_TOLD, Record, Use
from wardkeep.core.errors import BadInput

CONNTRACK = re.compile(r"\b(tcp|udp|sctp)\b.*?\bsrc=(\S+) dst=\S+ sport=\d+ dport=(\d+)")
SEEN = re.compile(r"seen[46](?:_(tcp|udp|sctp))?")
STAMP = re.compile(r"\[\s*(\d{9,11})(?:\.\d+)?\s*\]")
SSHD = re.compile(r"sshd(?:-session)?\[\d+\]: Accepted \S+ for \S+ from (\S+) port \d+")
ISO = re.compile(r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)")
SYSLOG = re.compile(r"([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) ")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MOST = 256_000_000  # bytes: what is read is held in memory
KINDS = "conntrack, EVE JSON, Zeek conn.log, sshd's log, or `nft -j list ruleset`"


def read_record(path: Path, now: datetime) -> Record:
    """A record of any of the known kinds, told apart line by line. Raises BadInput where no line is one.

    `now` gives the year of syslog times, and is the time of what names none by itself (an nft listing). Lines that are
    something else (other programs' lines in a log) are passed over; ports of sshd's log are taken for 22.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as e:
        raise BadInput(f"cannot be read ({e.strerror})", where=str(path), todo=f"Give {KINDS}.") from None
    if len(data) > MOST:
        raise BadInput(f"is larger than {MOST // 1_000_000} MB", where=str(path), todo="Give it in parts.")
    text = data.decode(errors="replace")
    nft = '"nftables"' in text[:4096]
    uses = list(_nft(text, now, str(path)) if nft else _lines(text, now))
    if not uses and not nft:
        raise BadInput("no connection stands in it", where=str(path), todo=f"Give {KINDS}.")
    if nft:
        return _complete(uses, now)
    times = [use.at for use in uses if use.at]
    since = datetime.fromtimestamp(min(times), UTC) if times else None
    until = datetime.fromtimestamp(max(times), UTC) if times else None
    return Record(tuple(uses), since, until)


def seen_by_our_table(text: str, now: datetime) -> Record:
    """Who came by an opening that names its sources, from `nft -j list ruleset`. Raises BadInput for another text."""
    return _complete(_nft(text, now), now)


def _complete(uses: Iterable[Use], now: datetime) -> Record:
    """What an older table noted, all protocols in one set, is no record of who did *not* come: where a port was open to
    everybody besides, it did not note who came by an entry."""
    known = tuple(uses)
    times = [use.at for use in known if use.protocol != NOT_TOLD]
    return Record(known, datetime.fromtimestamp(min(times), UTC) if times else None, now if times else None)


def _lines(text: str, now: datetime) -> Iterator[Use]:
    fields: list[str] = []
    for line in text.splitlines():
        made = None
        if line.startswith("#fields"):
            fields = line.split("\t")[1:]
        elif line.startswith("{"):
            made = _json_line(line)
        elif fields and not line.startswith("#"):
            made = _told(dict(zip(fields, line.split("\t"), strict=False)))
        elif match := CONNTRACK.search(line):
            stamp = STAMP.search(line)
            made = _use(match[2], match[1], match[3], int(stamp[1]) if stamp else 0)
        elif match := SSHD.search(line):
            made = _use(match[1], "tcp", 22, _log_time(line, now))
        if made is not None:
            yield made


def _json_line(line: str) -> Use | None:
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return _told(told) if isinstance(told, dict) else None


def _told(told: Mapping[str, Any]) -> Use | None:
    """A line of EVE (src_ip, dest_port, proto, timestamp) or of Zeek (id.orig_h, id.resp_p, proto, ts)."""
    source = told.get("src_ip") or told.get("id.orig_h")
    port = told.get("dest_port") or told.get("id.resp_p")
    if not source or not port:
        return None
    at = told.get("timestamp") or told.get("ts") or 0
    return _use(str(source), str(told.get("proto", "")).lower(), port, _time(at))


def _use(source: str, protocol: str, port: Any, at: int) -> Use | None:
    try:
        version, address = read_address(source)
        return Use(version, address, protocol, int(port), at)
    except ValueError:
        return None


def _time(told: Any) -> int:
    try:
        return int(float(told))
    except (TypeError, ValueError):
        pass
    try:
        made = datetime.fromisoformat(str(told))
    except ValueError:
        return 0
    return int((made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp())


def _log_time(line: str, now: datetime) -> int:
    if match := ISO.match(line):
        return _time(match[1].replace(",", "."))
    match = SYSLOG.match(line)
    if match is None or match[1] not in MONTHS:
        return 0
    month = MONTHS.index(match[1]) + 1
    day, hour, minute, second = (int(text) for text in match.groups()[1:])
    for year in (now.year, now.year - 1):  # syslog names no year: the last time that this was
        try:
            made = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            continue
        if made <= now:
            return int(made.timestamp())
    return 0


def _nft(text: str, now: datetime, where: str = "") -> Iterator[Use]:
    """`seen4_tcp`, `seen6_udp` ... of the table `inet wardkeep`: address and port, and by what is left of its time when last.

    Tables of an older Wardkeep have one set for all protocols (`seen4`), and a table that took its place keeps that until
    everything in it is forgotten.
    """
    try:
        objects = json.loads(text, strict=False)["nftables"]
        objects[0]["metainfo"]
        tables = [one["set"] for one in objects if "set" in one]
        noted = [one for one in tables if (one["family"], one["table"]) == ("inet", "wardkeep")]
        for told in noted:
            if match := SEEN.fullmatch(told["name"]):
                yield from _noted(told, match[1] or NOT_TOLD, now)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        todo = "Give its whole output, as it is"
        raise BadInput("not the JSON of `nft -j list ruleset`", where=where, todo=todo) from None


def _noted(told: Mapping[str, Any], protocol: str, now: datetime) -> Iterator[Use]:
    for element in told.get("elem", ()):
        inner = element["elem"]
        source, port = inner["val"]["concat"]
        left = int(inner.get("timeout", told.get("timeout", 0))) - int(inner["expires"])
        made = _use(str(source), protocol, port, int(now.timestamp()) - max(left, 0))
        if made is not None:
            yield made
