"""JSON that somebody else wrote: read whole or refused, with a bound on how much memory it can take."""

from __future__ import annotations

import json
import re
from typing import Any

# A value costs Python 50 to 200 bytes, whatever it costs the file: `{},` for `{},` a small file would fill gigabytes.
VALUES = 10_000_000
LONE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(data: bytes | str, *, values: int = VALUES) -> Any:
    """The value. Raises ValueError, in words, for what is no JSON, is nested too deeply, or holds more than `values` values.

    Half of a surrogate pair, which Python's reader lets through, is refused: no file, database or terminal could take such a text.
    """
    try:
        text = data if isinstance(data, str) else data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as e:
        raise ValueError(f"byte {e.start} is no {e.encoding} text") from None
    if text.count("{") + text.count("[") + text.count(",") > values:
        raise ValueError(f"it holds more than {values:,} values")
    try:
        made = json.loads(text)
        if LONE.search(text):
            json.dumps(made, ensure_ascii=False).encode()
    except json.JSONDecodeError as e:
        raise ValueError(f"{e.msg} at line {e.lineno}, column {e.colno}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("a text in it holds half of a surrogate pair (\\ud800 to \\udfff)") from None
    except ValueError:
        raise ValueError("a number in it is too long") from None
    return made
