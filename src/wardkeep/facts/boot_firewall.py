"""The packet filter that the next boot would load, as the kernel itself reads it.

The files are loaded in a network namespace made for this one question, which vanishes with it: the host's own rules, and
everything else about it, stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.nftables import Nftables
from wardkeep.facts.sections import END, sections

OURS = "wardkeep-firewall"
OUR_FILE = "/etc/wardkeep/firewall.nft"
# Who else loads rules at boot, and is not read here.
OTHERS = ("netfilter-persistent", "ufw", "firewalld", "shorewall", "ferm", "foomuuri")

SCRIPT = f"""command -v nft >/dev/null || exit 127
command -v systemctl >/dev/null || exit 127
files=
# Whether a file of this name is anywhere systemd looks for units: asking it about one that is not takes a process each.
there() {{
  for file in /etc/systemd/*/"$1".service /run/systemd/*/"$1".service /usr/local/lib/systemd/*/"$1".service \\
    /usr/lib/systemd/*/"$1".service /lib/systemd/*/"$1".service /etc/init.d/"$1"; do
    if [ -e "$file" ] || [ -L "$file" ]; then return 0; fi
  done
  return 1
}}
printf '= units\\n'
for unit in nftables {OURS} {" ".join(OTHERS)}; do
  state=
  ! there "$unit" || state=$(systemctl is-enabled "$unit" 2>/dev/null)
  printf '|%s %s\\n' "$unit" "${{state:-not-found}}"
  case $unit,$state in
    nftables,enabled*) files="$files /etc/nftables.conf";;
    {OURS},enabled*) files="$files {OUR_FILE}";;
  esac
done
names=$(ls /sys/class/net)
out=$(unshare -n /bin/sh -c '
  for name in $1; do ip link add "$name" type dummy 2>/dev/null; done
  shift
  for file; do nft -f "$file" || exit 9; done
  nft -j list ruleset' sh "$names" $files 2>&1)
code=$?
printf '= loaded %s\\n' "$code"
printf '%s\\n' "$out" | sed 's/^/|/'
{END}"""


@dataclass(frozen=True, slots=True)
class BootFirewall:
    """What would be in force after a boot. `rules` is None where the files cannot be loaded, and `problem` says why."""

    ask: ClassVar[Question] = Question("boot_firewall", SCRIPT, tool="nft or systemctl")
    loaders: tuple[str, ...]  # the enabled units, of those known here
    rules: Nftables | None
    problem: str = ""

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        """Sections `units` (unit, state of `systemctl is-enabled`) and `loaded` (exit status; JSON, or what was said)."""
        told = list(sections(answer))
        if [section.name for section in told] != ["units", "loaded"]:
            raise NotUnderstood("the sections are not `units` and `loaded`", where=answer.question)
        units = [line.split(" ") for line in told[0].lines]
        if not units or any(len(unit) != 2 for unit in units):
            raise NotUnderstood("a unit without its state", where=answer.question)
        loaders = tuple(unit for unit, state in units if state.startswith("enabled"))
        (code,) = told[1].words(1)
        text = told[1].text
        if code != "0":
            return cls(loaders, None, " ".join(text.split())[:200] or f"exit status {code}")
        rules = Nftables.parse(Answer(answer.question, 0, text.encode()))
        return cls(loaders, rules)
