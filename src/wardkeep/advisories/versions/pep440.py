"""The order of Python versions: PEP 440; below them, what setuptools accepted before it (its old rules).

The pattern follows PEP 440's appendix B.
"""

from __future__ import annotations

import re

from wardkeep.advisories.versions.packed import NotAVersion, number, word

VERSION = re.compile(
    r"""v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<pre_n>[0-9]+)?)?
    (?:-(?P<bare_post>[0-9]+)|(?P<post>[-_.]?(?:post|rev|r)[-_.]?(?P<post_n>[0-9]+)?))?
    (?P<dev>[-_.]?dev[-_.]?(?P<dev_n>[0-9]+)?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?""",
    re.X,
)
PRE = {"alpha": "a", "beta": "b", "c": "rc", "pre": "rc", "preview": "rc"}
LEGACY, MODERN = b"\x01", b"\x02"
LOWEST, MIDDLE, HIGHEST = b"\x01", b"\x02", b"\x03"
END, MORE = b"\x01", b"\x02"


def key(text: str) -> bytes:
    """Trailing zeros of the release do not count. Raises NotAVersion for an empty text or one with a space inside."""
    low = text.strip().lower()
    if not low or len(low.split()) != 1:
        raise NotAVersion(f"`{text[:60]}` is no Python version")
    match = VERSION.fullmatch(low)
    if not match:
        return LEGACY + _legacy(low)
    get = match.groupdict()
    made = MODERN + number(get["epoch"] or "0")
    release = get["release"].split(".")
    while release and not release[-1].strip("0"):
        release.pop()
    made += b"".join(MORE + number(n) for n in release) + END
    has_post = get["post"] is not None or get["bare_post"] is not None
    if get["pre"]:
        made += MIDDLE + word(PRE.get(get["pre"], get["pre"])) + number(get["pre_n"] or "0")
    else:
        made += LOWEST if get["dev"] is not None and not has_post else HIGHEST
    made += MIDDLE + number(get["bare_post"] or get["post_n"] or "0") if has_post else LOWEST
    made += MIDDLE + number(get["dev_n"] or "0") if get["dev"] is not None else HIGHEST
    return made + _local(get["local"])


def _local(text: str | None) -> bytes:
    if text is None:
        return LOWEST
    made = MIDDLE
    for one in re.split(r"[-_.]", text):
        made += b"\x03" + number(one) if one.isdigit() else b"\x02" + word(one)
    return made + END


def _legacy(low: str) -> bytes:
    """What setuptools did before PEP 440: numbers padded to eight digits, words starred, all compared as text."""
    parts: list[str] = []
    renamed = {"pre": "c", "preview": "c", "-": "final-", "rc": "c", "dev": "@"}
    for raw in [*re.findall(r"[0-9]+|[a-z]+|\.|-|[^0-9a-z.-]+", low), "final"]:
        part = renamed.get(raw, raw)
        if part == ".":
            continue
        if part[0].isdigit():
            parts.append(part.zfill(8))
            continue
        part = "*" + part
        if part < "*final":
            while parts and parts[-1] == "*final-":
                parts.pop()
        while parts and parts[-1] == "00000000":
            parts.pop()
        parts.append(part)
    return b"".join(word(part) for part in parts)
