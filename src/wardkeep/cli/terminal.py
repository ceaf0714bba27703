"""How results look in a terminal: four states, each with a shape; tables within 100 columns; JSON in one form."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from wardkeep.core.printable import printable

SHAPES = {"pass": ("●", "green"), "fail": ("▲", "red"), "unknown": ("?", "yellow"), "none": ("○", "dim")}
WIDTH = 100


def console() -> Console:
    """The results' terminal: at most 100 columns; plain when piped (Rich honours NO_COLOR and a missing terminal).

    What is printed is what was seen: `sshd:compression:` is no picture, and `[::1]` no style.
    """
    made = Console(highlight=False, emoji=False, markup=False)
    made.width = min(made.width, WIDTH) if made.is_terminal else WIDTH
    return made


def state(verdict: str, built: str = "whole") -> Text:
    """The state's shape and word."""
    shape, colour = SHAPES["none"] if built == "none" else SHAPES[verdict]
    return Text(f"{shape} {'not built' if built == 'none' else verdict}", style=colour)


def table(*columns: str | tuple[str, dict[str, Any]]) -> Table:
    """A table in the house's manner: a hairline under the head, no boxes."""
    from rich import box

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        name, more = column if isinstance(column, tuple) else (column, {})
        made.add_column(name, **more)
    return made


def ago(at: datetime | None, now: datetime | None = None) -> str:
    """`3 minutes ago`, `in 2 days`, `never`."""
    if at is None:
        return "never"
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if abs(seconds) >= size:
            count = int(abs(seconds) // size)
            text = f"{count} {unit}{'s' * (count != 1)}"
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return "just now"


def hanging(out: Console, shape: tuple[str, str], text: str) -> None:
    """A line behind its shape (and style); what is too long for the width goes on below the text, not below the shape."""
    for number, line in enumerate(Text(text).wrap(out, out.width - 2)):
        line.rstrip()
        out.print(Text.assemble((f"{shape[0]} ", shape[1]) if number == 0 else "  ", line))


def print_json(value: Any) -> None:
    """One object or array on stdout; times in ISO 8601 UTC."""
    sys.stdout.write(_as_json(value, indent=2) + "\n")


def print_json_line(value: Any) -> None:
    """One object as one line, at once: for a command that tells several while it goes on."""
    sys.stdout.write(_as_json(value, indent=None) + "\n")
    sys.stdout.flush()


def _as_json(value: Any, indent: int | None) -> str:
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    # With `indent` the standard library writes in Python, ten times slower: a long report takes longer to write than to find.
    text = json.dumps(value, default=_default, ensure_ascii=ascii_only)
    return msgspec.json.format(text, indent=indent) if indent else text


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def note(text: str) -> None:
    """A line for whoever watches, on stderr."""
    sys.stderr.write(f"wardkeep: {printable(text)}\n")


@contextmanager
def progress(what: str, quiet: bool = False) -> Iterator[Any]:
    """A progress bar on stderr, gone when done; nothing when stderr is no terminal or `quiet`.

    Gives a function (name of the thing done, how many are done, how many there are).
    """
    error = Console(stderr=True, highlight=False, emoji=False, markup=False)
    if quiet or not error.is_terminal:
        yield lambda name, done, of: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[count]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=error, transient=True) as bar:
        task = bar.add_task(what, total=None, count="")  # how many there are is not known yet

        def step(name: str, done: int, of: int) -> None:
            bar.update(task, completed=done, total=of, count=f"{done}/{of}", description=f"{what}: {name}")

        yield step


def exit_status(verdicts: Iterable[str]) -> int:
    """0 all pass, 1 something fails, 3 nothing fails but something is unknown (or nothing was seen at all)."""
    seen = set(verdicts)
    return 1 if "fail" in seen else 3 if "unknown" in seen or not seen else 0
