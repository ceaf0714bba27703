"""The packet filter as the iptables tools see it: the old kernel tables, and those nftables rules only they can read."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, Section, sections
from wardkeep.rulesets.observed import OldTable

# The old tables exist only where the kernel names them; asking then loads nothing. `iptables-nft-save` shows the
# tables of `iptables-nft`, whose extensions nft itself prints as `xt`.
SCRIPT = f"""for family in ip ip6; do
  names=/proc/net/${{family}}_tables_names
  printf '= legacy %s\\n' "$family"
  tables=
  [ ! -e "$names" ] || tables=$(cat "$names") || exit 3
  if [ -n "$tables" ]; then
    out=$("${{family}}tables-legacy-save") || exit $?
    printf '%s\\n' "$out" | sed 's/^/|/'
  fi
  printf '= nft %s\\n' "$family"
  if command -v "${{family}}tables-nft-save" >/dev/null; then
    out=$("${{family}}tables-nft-save" 2>/dev/null) || exit $?
    [ -z "$out" ] || printf '%s\\n' "$out" | sed 's/^/|/'
  fi
done
{END}"""


@dataclass(frozen=True, slots=True)
class IpRule:
    """The words after `-A CHAIN`, unquoted."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IpChain:
    """A chain: `policy` is "" for one that only others jump to. The kernel tries `rules` in this order."""

    name: str
    policy: str
    rules: tuple[IpRule, ...]


@dataclass(frozen=True, slots=True)
class IpTable:
    """One table of one family, held by the old kernel code (`legacy`) or by nftables (`nft`)."""

    backend: str
    family: str  # "ip" | "ip6"
    name: str
    chains: tuple[IpChain, ...]


@dataclass(frozen=True, slots=True)
class Iptables:
    """All tables. None is a fact: nobody used these tools since the boot."""

    ask: ClassVar[Question] = Question("iptables", SCRIPT, tool="iptables-legacy-save")
    tables: tuple[IpTable, ...]

    def in_words(self) -> list[OldTable]:
        """The tables as the readers of rule sets want them."""
        return [
            OldTable(
                t.family,
                t.name,
                t.backend == "legacy",
                [(c.name, c.policy, [r.words for r in c.rules]) for c in t.chains],
            )
            for t in self.tables
        ]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Four sections in the form of iptables-save(8). Counters are dropped; a line of any other form is refused."""
        told = list(sections(answer))
        expected = [("legacy", "ip"), ("nft", "ip"), ("legacy", "ip6"), ("nft", "ip6")]
        if [(section.name, section.about) for section in told] != expected:
            raise NotUnderstood("the sections are not the four of iptables", where=answer.question)
        return cls(tuple(table for section in told for table in _tables(section, answer.question)))

    def find(self, backend: str, family: str, name: str) -> IpTable | None:
        wanted = (backend, family, name)
        return next((t for t in self.tables if (t.backend, t.family, t.name) == wanted), None)


def _tables(told: Section, question: str) -> list[IpTable]:
    found: list[IpTable] = []
    name = ""
    policies: dict[str, str] = {}
    rules: dict[str, list[IpRule]] = {}
    for line in told.lines:
        try:
            words = shlex.split(line) if not line.startswith("#") else []
        except ValueError:
            raise NotUnderstood(f"`{line[:60]}` has an open quote", where=question) from None
        if not words:
            continue
        if line.startswith("*"):
            name, policies, rules = line[1:].strip(), {}, {}
        elif line.startswith(":") and name and len(words) == 3:
            chain = words[0][1:]
            if words[1] not in ("ACCEPT", "DROP", "-"):
                raise NotUnderstood(f"the chain {chain} has the policy {words[1]}", where=question)
            policies[chain] = "" if words[1] == "-" else words[1]
            rules[chain] = []
        elif words[0] == "-A" and len(words) >= 2 and words[1] in rules:
            rules[words[1]].append(IpRule(tuple(words[2:])))
        elif line == "COMMIT" and name:
            chains = tuple(IpChain(c, policies[c], tuple(rules[c])) for c in policies)
            found.append(IpTable(told.name, told.about, name, chains))
            name = ""
        else:
            raise NotUnderstood(f"`{line[:60]}` is nothing that iptables-save writes", where=question)
    if name:
        raise NotUnderstood(f"the table {name} does not end", where=question)
    return found
