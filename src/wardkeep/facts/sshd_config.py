"""The text of sshd_config: which lines hold for whom, as sshd reads them (sshd_config(5), OpenSSH 8.2 to 10).

Outside `Match` the first value of a keyword wins. Inside, the first block that applies and names the keyword wins, and
beats the global value. An included file starts in the state of the `Include` line and gives it back at its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardkeep.core.errors import NotUnderstood

ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "skeyauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
}
VALUES = {"without-password": "prohibit-password", "true": "yes", "false": "no"}
GATHERED = frozenset({"allowusers", "denyusers", "allowgroups", "denygroups", "acceptenv", "setenv"})


@dataclass(frozen=True, slots=True)
class Line:
    """One keyword with its words, and where it stands: `/etc/ssh/sshd_config:12`."""

    keyword: str  # lower case, aliases resolved
    words: tuple[str, ...]
    where: str

    @property
    def value(self) -> str:
        """As `sshd -T` would print it: one spelling for values that mean the same."""
        return canonical(" ".join(self.words))


@dataclass(frozen=True, slots=True)
class Match:
    """One `Match` line: its criteria, pattern lists by criterion in lower case. No criteria: `all`."""

    criteria: tuple[tuple[str, str], ...]
    where: str

    def hangs_on(self, user: str | None, groups: frozenset[str] | None) -> frozenset[tuple[str, str]] | None:
        """The criteria that `user` alone does not decide (where the connection comes from); None: it can never apply.

        An empty set: it always applies. Without a user, or without groups, those criteria are open too.
        """
        undecided = set()
        for criterion, patterns in self.criteria:
            if criterion == "user" and user is not None:
                if not matches(user, patterns):
                    return None
            elif criterion == "group" and groups is not None:
                if not any(matches(group, patterns) for group in groups) or _vetoed(groups, patterns):
                    return None
            elif criterion == "invalid-user":
                return None  # concerns names that are no account, and those cannot log in
            else:
                undecided.add((criterion, patterns))
        return frozenset(undecided)

    def __str__(self) -> str:
        return "Match " + (" ".join(f"{name} {patterns}" for name, patterns in self.criteria) or "all")


@dataclass(frozen=True, slots=True)
class Block:
    """The lines under a conjunction of Match lines (more than one where an Include stands inside a block)."""

    conditions: tuple[Match, ...]
    lines: tuple[Line, ...]

    def hangs_on(self, user: str | None, groups: frozenset[str] | None) -> frozenset[tuple[str, str]] | None:
        """As for one Match line: what is open of all of them together; None if one of them can never apply."""
        undecided: frozenset[tuple[str, str]] = frozenset()
        for condition in self.conditions:
            more = condition.hangs_on(user, groups)
            if more is None:
                return None
            undecided |= more
        return undecided

    def __str__(self) -> str:
        return " within ".join(str(condition) for condition in reversed(self.conditions))


def canonical(value: str) -> str:
    """One spelling for values that mean the same."""
    return VALUES.get(value.lower(), value)


def matches(name: str, patterns: str) -> bool:
    """sshd's match_pattern_list: comma-separated, `*` and `?`, `!` vetoes; a list of vetoes alone matches nothing."""
    found = False
    for pattern in patterns.split(","):
        negated = pattern.startswith("!")
        if re.fullmatch(_expression(pattern[negated:]), name, re.DOTALL):
            if negated:
                return False
            found = True
    return found


def _vetoed(groups: frozenset[str], patterns: str) -> bool:
    vetoes = [pattern[1:] for pattern in patterns.split(",") if pattern.startswith("!")]
    return any(re.fullmatch(_expression(veto), group) for veto in vetoes for group in groups)


def _expression(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)


def words(text: str) -> list[str]:
    """Split a line as sshd does: white space, one `=` after the keyword, double quotes, `#` starts a comment."""
    text = text.strip(" \t\r\f")
    head = re.match(r'"[^"]*"|[^\s=#"]+', text)
    if not head:
        if text == "" or text.startswith("#"):
            return []
        raise NotUnderstood(f"cannot split `{text[:60]}`")
    rest = re.sub(r"^[ \t]*=?[ \t]*", "", text[head.end() :], count=1)
    found = [head.group().strip('"')]
    for word in re.finditer(r"""(?P<quoted>(?:[^\s"']*(?:"[^"]*"|'[^']*'))+[^\s"']*)|(?P<plain>\S+)""", rest):
        if word.group().startswith("#"):
            break
        if word["quoted"]:
            found.append(re.sub(r"""["']""", "", word["quoted"]))
        elif '"' in word["plain"]:
            raise NotUnderstood(f"a quotation mark is left open in `{text[:60]}`")
        else:
            found.append(word["plain"])
    return found


def read(
    name: str, files: Mapping[str, str], includes: Mapping[tuple[str, int], Sequence[str]]
) -> tuple[tuple[Line, ...], tuple[Block, ...]]:
    """The global lines and the Match blocks of the configuration that starts in file `name`, in sshd's order.

    `includes` gives the files that sshd itself took in at (file, line). Raises NotUnderstood for text that it cannot split.
    """
    plain: list[Line] = []
    blocks: list[tuple[tuple[Match, ...], list[Line]]] = []

    def follow(file: str, outer: tuple[Match, ...], depth: int) -> None:
        if file not in files or depth > 16:
            raise NotUnderstood(f"the text of {file} is missing")
        conditions, into = outer, _open(outer, plain, blocks)
        for number, text in enumerate(files[file].split("\n"), 1):
            split = words(text)
            if not split:
                continue
            keyword = ALIASES.get(split[0].lower(), split[0].lower())
            where = f"{file}:{number}"
            if keyword == "match":
                conditions = (*outer, Match(_criteria(split[1:], where), where))
                into = _open(conditions, plain, blocks)
            elif keyword == "include":
                for inner in includes.get((file, number), ()):
                    follow(inner, conditions, depth + 1)
                into = _open(conditions, plain, blocks)
            else:
                into.append(Line(keyword, tuple(split[1:]), where))

    follow(name, (), 0)
    return tuple(plain), tuple(Block(conditions, tuple(lines)) for conditions, lines in blocks if lines)


def _open(
    conditions: tuple[Match, ...], plain: list[Line], blocks: list[tuple[tuple[Match, ...], list[Line]]]
) -> list[Line]:
    if not conditions:
        return plain
    blocks.append((conditions, []))
    return blocks[-1][1]


def _criteria(split: Sequence[str], where: str) -> tuple[tuple[str, str], ...]:
    if [word.lower() for word in split] == ["all"]:
        return ()
    pairs: list[str] = []
    for word in split:
        name, equals, value = word.partition("=")
        if equals and len(pairs) % 2 == 0:
            pairs += [name, value]
        elif word.lower() == "invalid-user":
            pairs += [word, "*"]
        else:
            pairs.append(word)
    if not pairs or len(pairs) % 2:
        raise NotUnderstood(f"cannot read the Match line {where}")
    return tuple((name.lower(), value) for name, value in zip(pairs[::2], pairs[1::2], strict=True))
