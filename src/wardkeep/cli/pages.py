"""Writing a page to a file the operator named: its ending says in which form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wardkeep.core.errors import BadInput


def write_page(out: Path, what: str, data: Any, forms: Mapping[str, Callable[[], str]]) -> None:
    """Write `data` as JSON, or one of `forms`, by the ending of `out`. `what` names it (a possessive) where the ending is none of these. Raises BadInput."""
    if out.suffix == ".json":
        text = json_text(data)
    elif out.suffix in forms:
        text = forms[out.suffix]()
    else:
        known = ", ".join(forms)
        raise BadInput(f"the {what} form is not known", where=str(out), todo=f"End it in {known} or .json.")
    write_file(out, text)


def json_text(data: Any) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def write_file(out: Path, text: str) -> None:
    """Raises BadInput where it cannot be written."""
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as e:
        raise BadInput(f"cannot be written ({e.strerror})", where=str(out)) from None
