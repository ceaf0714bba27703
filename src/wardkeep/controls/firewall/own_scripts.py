"""The scripts that put our own table on trial, keep it, and take it back. POSIX sh, run as root on the host; safe to run again."""

from __future__ import annotations

import hashlib

from wardkeep.controls.firewall.allowed import Permit
from wardkeep.controls.firewall.own_table import TABLE, TRIAL, chain_of, kept_names, on_trial, ruleset
from wardkeep.facts.boot_firewall import OUR_FILE, OURS

NFT = "/usr/sbin/nft"
UNIT_FILE = f"/etc/systemd/system/{OURS}.service"
UNIT = f"""\
# Written by Wardkeep. `wardkeep` takes it away again.
[Unit]
Description=Packet filter of Wardkeep
DefaultDependencies=no
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target
After=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={NFT} -f {OUR_FILE}
ExecReload={NFT} -f {OUR_FILE}

[Install]
WantedBy=sysinit.target
"""

# Debian's nftables.service begins with `flush ruleset`, which takes our table too: put it back each time.
FLUSHED_FILE = "/etc/systemd/system/nftables.service.d/wardkeep.conf"
FLUSHED = f"""\
# Written by Wardkeep. `wardkeep` takes it away again.
[Service]
ExecStartPost=-{NFT} -f {OUR_FILE}
ExecReload=-{NFT} -f {OUR_FILE}
"""

# What the base chain does now, so that the end of a trial can do it again: `$back`, and in `$kept` the rules that it goes to if
# they stand in the base chain itself (somebody altered it, or an older Wardkeep wrote it).
NOW = rf"""nft={NFT}
kept= back=accept
if now=$($nft -s list chain {TABLE} input 2>/dev/null); then
  body=$(printf '%s\n' "$now" | sed -n '/^\t\t/p' | grep -v 'type filter hook' | grep -v 'meta nfproto @armed goto rules_')
  old=$(printf '%s\n' "$body" | sed -n 's/^\t\tgoto \(rules_[0-9a-z]*\)$/\1/p')
  if [ "$body" = "$(printf '\t\tgoto %s' "$old")" ]; then back="goto $old"
  elif [ "$body" != "$(printf '\t\taccept')" ]; then
    policy=$(printf '%s\n' "$now" | sed -n 's/.*policy \([a-z]*\);.*/\1/p')
    kept=$(printf 'table {TABLE} {{\n\tchain rules_before {{\n\t}}\n}}\nflush chain {TABLE} rules_before\n')
    kept=$(printf '%s\ntable {TABLE} {{\n\tchain rules_before {{\n%s\n\t\t%s\n\t}}\n}}\n' "$kept" "$body" "$policy")
    back="goto rules_before"
  fi
fi
"""


def try_script(permit: Permit, seconds: int = TRIAL) -> str:
    """Put the rules on trial. What decided before decides again when the time is over, whoever lives or not."""
    first, second = chain_of(permit, "a"), chain_of(permit, "b")
    text = on_trial(permit, seconds, chain="@NEW@", back="@BACK@")
    return _whole(f"""rm -f {_before(ruleset(permit))}.was
{NOW}new={first}
# Never the chain to which the end of the trial leads, by whatever way.
if $nft -s list table {TABLE} 2>/dev/null | grep -v '@armed' | grep -q 'goto {first}$'; then new={second}; fi
{{ printf '%s\\n' "$kept"; sed -e "s/@NEW@/$new/g" -e "s/@BACK@/$back/g" <<'END'
{text}END
}} | $nft -f -
""")


BACK_TO_KEPT = f"""if [ -s {OUR_FILE} ]; then {NFT} -f {OUR_FILE}
elif {NFT} list table {TABLE} >/dev/null 2>&1; then {NFT} delete table {TABLE}
fi
"""


def keep_script(permit: Permit) -> str:
    """Write the file and the unit, put both into force. It may run again after having been killed anywhere."""
    text = ruleset(permit)
    before = _before(text)
    return _whole(f"""set -e
mkdir -p {OUR_FILE.rpartition("/")[0]}
cat >{OUR_FILE}.new <<'END'
{text}END
{NFT} -c -f {OUR_FILE}.new
# What was there before is noted once for each trial, so that a second run after a kill does not take our own file for it.
if [ ! -e {before}.was ]; then
  if [ ! -e {OUR_FILE} ]; then echo none
  elif cmp -s {OUR_FILE} {OUR_FILE}.new; then echo same
  else cp -p {OUR_FILE} {before} && echo other; fi >{before}.was.new
  mv -f {before}.was.new {before}.was
fi
mv -f {OUR_FILE}.new {OUR_FILE}
cat >{UNIT_FILE} <<'END'
{UNIT}END
mkdir -p {FLUSHED_FILE.rpartition("/")[0]}
cat >{FLUSHED_FILE} <<'END'
{FLUSHED}END
systemctl daemon-reload
systemctl enable --quiet {OURS}
systemctl restart {OURS}
{tidy_script(permit)}""")


def tidy_script(permit: Permit) -> str:
    """Take away what no rule refers to any more: chains of earlier rules, the switch of a trial, counters of closed openings;
    a record of who came only when all in it is forgotten."""
    names = " ".join(sorted({*kept_names(permit), chain_of(permit)}))
    return rf"""keep=' {names} '
# Chains of rules first: they refer to the others.
for kind in 'chain rules_' 'chain note_' 'chain via_' 'set open_' 'set seen' 'set armed' 'counter open_'; do
  {NFT} list table {TABLE} | sed -n "s/^\t\(${{kind% *}}\) \(${{kind#* }}[0-9a-z_]*\) {{\$/\1 \2/p" | while read -r what name; do
    case $keep in *" $name "*) continue;; esac
    case $name in seen*) ! {NFT} list set {TABLE} "$name" | grep -q elements || continue;; esac
    {NFT} delete "$what" {TABLE} "$name" || :
  done
done
"""


def forget_script(permit: Permit) -> str:
    """Back to the table kept before this one; if there was none, nothing of ours is left. It may run again."""
    before = _before(ruleset(permit))
    return f"""case $(cat {before}.was 2>/dev/null) in
other)
  [ ! -e {before} ] || mv -f {before} {OUR_FILE};;
none)
  systemctl disable --quiet {OURS} 2>/dev/null
  rm -f {OUR_FILE} {UNIT_FILE} {FLUSHED_FILE}
  rmdir {FLUSHED_FILE.rpartition("/")[0]} 2>/dev/null
  systemctl daemon-reload;;
esac
[ ! -e {before}.was ] || echo done >{before}.was
{BACK_TO_KEPT}"""


def _whole(script: str) -> str:
    """A script that was cut anywhere does nothing at all: half a transaction can be a valid one that drops everything."""
    return f"wardkeep_act() {{\n{script}}}\nwardkeep_act\n"


def _before(text: str) -> str:
    return f"{OUR_FILE}.before-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
