"""Read a result file of another tool: which tool wrote it is told by its content."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wardkeep.core.errors import BadInput
from wardkeep.scans.formats import FORMATS, KEYS, Format
from wardkeep.scans.model import Malformed, Report, digest
from wardkeep.scans.opening import LIMIT, Member, decode, open_members, read_json, read_table, read_xml


def import_file(path: Path, tool: str = "", limit: int = LIMIT) -> list[Report]:
    """The reports in a file: one, or one for each file of a zip archive. `tool` is a key of KEYS, "" to tell by content.

    `limit` bounds the bytes read and unpacked. Raises BadInput, in one line, for what is no report of a known tool; an item
    inside a report that cannot be read is in `Report.refused`, never lost.
    """
    if tool and tool not in KEYS:
        raise BadInput(f"no tool is called `{tool}`", todo=f"Known: {', '.join(KEYS)}.")
    members = open_members(path, limit)
    return [_import(member, str(path) if len(members) == 1 else member.name, tool) for member in members]


def import_bytes(data: bytes, name: str = "the report", tool: str = "") -> Report:
    """The report in these bytes; as `import_file`."""
    return _import(Member(name, data), name, tool)


def _import(member: Member, where: str, tool: str) -> Report:
    value = _value(member.data, where)
    wanted = [one for one in FORMATS if not tool or one.key == tool]
    chosen = _choose(wanted, value) or (wanted[0] if len(wanted) == 1 and _is_hollow(value) else None)
    if chosen is None:
        if tool:
            raise BadInput(
                f"is no report of {tool}", where=where, todo="Leave --tool out to tell by content."
            )
        hint = f"Known: {', '.join(KEYS)}."
        if _is_hollow(value):
            raise BadInput(
                "holds nothing that tells which tool wrote it", where=where, todo=f"Say so by --tool. {hint}"
            )
        raise BadInput("is no report of a tool known here", where=where, todo=hint)
    report = Report(chosen.tool, file=where, sha256=digest(member.data))
    try:
        chosen.read(value, report)
    except BadInput as e:
        raise BadInput(e.what, where=where, todo=e.todo) from None
    except (Malformed, KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        why = str(e) if isinstance(e, Malformed) else type(e).__name__
        raise BadInput(f"is not built as a report of {chosen.tool} is: {why}", where=where) from None
    if not report.nothing_lost:
        raise BadInput("items were lost while reading; please report this as a defect", where=where)
    return report


def _choose(formats: Iterable[Format], value: Any) -> Format | None:
    return next((one for one in formats if one.matches(value)), None)


def _is_hollow(value: Any) -> bool:
    """`null`, `[]` and `{}` say nothing of their tool."""
    return value is None or value in ([], {})


def _value(data: bytes, where: str) -> Any:
    """The file as JSON, XML, a table, or text. An empty file is no report: a tool that found nothing says so."""
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n\0")[:1]
    if not start:
        raise BadInput("is empty, which says nothing about what was scanned", where=where)
    if start == b"<" or data.startswith((b"\xff\xfe<", b"\xfe\xff\0<")):
        return read_xml(data.lstrip(b" \t\r\n"), where)
    text = decode(data, where)
    if text.lstrip()[:1] in ("{", "[") or text.strip() in ("null", "true", "false"):
        return read_json(text, where)
    head = text[:20000]
    if "lynis_version=" in head or head.startswith("# Lynis Report"):
        return text
    if head.startswith('"Nikto - ') or any(mark in head.partition("\n")[0] for mark in ",;\t"):
        return read_table(text, where)
    raise BadInput("is no report of a tool known here", where=where, todo=f"Known: {', '.join(KEYS)}.")
