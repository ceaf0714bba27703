"""Our own nftables table, compiled from the policy: the only thing of the packet filter that Wardkeep ever writes.

`inet wardkeep` drops what the policy does not name before any other chain of the input hook sees it. Foreign tables stay
byte for byte as they are; what they drop beside it stays dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from wardkeep.controls.firewall.allowed import Opening, Permit
from wardkeep.controls.firewall.program import Network
from wardkeep.facts.boot_firewall import OUR_FILE, OURS

TABLE = "inet wardkeep"
UNIT_FILE = f"/etc/systemd/system/{OURS}.service"
TRIAL = 300  # seconds for which the kernel itself keeps a table on trial, whatever becomes of us

# RFC 4890, section 4.4: what IPv6 does not work without. RFC 1812 and 1191 for IPv4.
ESSENTIAL = """\
		icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept
		icmpv6 type { echo-request, destination-unreachable, packet-too-big, time-exceeded, parameter-problem, \
nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept
"""
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
ExecStart=/usr/sbin/nft -f {OUR_FILE}
ExecReload=/usr/sbin/nft -f {OUR_FILE}

[Install]
WantedBy=sysinit.target
"""

# Debian's nftables.service begins with `flush ruleset`, which takes our table too: put it back each time.
FLUSHED_FILE = "/etc/systemd/system/nftables.service.d/wardkeep.conf"
FLUSHED = f"""\
# Written by Wardkeep. `wardkeep` takes it away again.
[Service]
ExecStartPost=-/usr/sbin/nft -f {OUR_FILE}
ExecReload=-/usr/sbin/nft -f {OUR_FILE}
"""


def ruleset(permit: Permit) -> str:
    """The table for good: one transaction that replaces it, or changes nothing."""
    lines = "".join(f"\t\t{line}\n" for line in _openings(permit))
    return f"""\
# Written by Wardkeep from its policy. Changes made here are overwritten.
table {TABLE}
delete table {TABLE}
table {TABLE} {{
	chain input {{
		type filter hook input priority filter - 10; policy drop;
		ct state vmap {{ established : accept, related : accept, invalid : drop }}
		iifname "lo" accept
{ESSENTIAL}{lines}	}}
}}
"""


def on_trial(permit: Permit, seconds: int = TRIAL) -> str:
    """The same rules behind a switch that the kernel throws by itself when the time is over: then all is as before.

    No process needs to survive for that, on either side; nothing is written to disk, so a reboot ends it too.
    """
    lines = "".join(f"\t\t{line}\n" for line in _openings(permit))
    return f"""\
table {TABLE}
delete table {TABLE}
table {TABLE} {{
	set armed {{
		type nf_proto
		flags timeout
		elements = {{ ipv4 timeout {seconds}s, ipv6 timeout {seconds}s }}
	}}
	chain named {{
{ESSENTIAL}{lines}		drop
	}}
	chain input {{
		type filter hook input priority filter - 10; policy accept;
		ct state vmap {{ established : accept, related : accept, invalid : drop }}
		iifname "lo" accept
		meta nfproto @armed goto named
	}}
}}
"""


def _openings(permit: Permit) -> list[str]:
    lines = [line for opening in permit.openings for line in _opening(opening)]
    if permit.interfaces:
        names = ", ".join(f'"{name}"' for name in sorted(permit.interfaces))
        lines.append(f"iifname {{ {names} }} accept")
    lines += [f"{_from(networks)} accept" for networks in _by_family(permit.networks)]
    return lines


def _opening(opening: Opening) -> list[str]:
    ports = str(opening.low) if opening.low == opening.high else f"{opening.low}-{opening.high}"
    rule = f"{opening.protocol} dport {ports} accept"
    if not opening.sources:
        return [rule]
    return [f"{_from(networks)} {rule}" for networks in _by_family(opening.sources)]


def _by_family(networks: Iterable[Network]) -> list[list[Network]]:
    found = list(networks)
    return [same for v in (4, 6) if (same := [n for n in found if n.version == v])]


def _from(networks: list[Network]) -> str:
    family = "ip" if networks[0].version == 4 else "ip6"
    return f"{family} saddr {{ {', '.join(str(n) for n in networks)} }}"


def try_script(permit: Permit) -> str:
    return f"/usr/sbin/nft -f - <<'END'\n{on_trial(permit)}END\n"


BACK_TO_KEPT = f"""if [ -s {OUR_FILE} ]; then /usr/sbin/nft -f {OUR_FILE}
elif /usr/sbin/nft list table {TABLE} >/dev/null 2>&1; then /usr/sbin/nft delete table {TABLE}
fi
"""


def keep_script(permit: Permit) -> str:
    """Write the file and the unit, put both into force. It may run again after having been killed anywhere."""
    text = ruleset(permit)
    before = _before(text)
    return f"""set -e
mkdir -p {OUR_FILE.rpartition("/")[0]}
cat >{OUR_FILE}.new <<'END'
{text}END
/usr/sbin/nft -c -f {OUR_FILE}.new
if [ -e {OUR_FILE} ] && [ ! -e {before} ] && ! cmp -s {OUR_FILE} {OUR_FILE}.new; then cp -p {OUR_FILE} {before}; fi
mv -f {OUR_FILE}.new {OUR_FILE}
cat >{UNIT_FILE} <<'END'
{UNIT}END
mkdir -p {FLUSHED_FILE.rpartition("/")[0]}
cat >{FLUSHED_FILE} <<'END'
{FLUSHED}END
systemctl daemon-reload
systemctl enable --quiet {OURS}
systemctl restart {OURS}
"""


def forget_script(permit: Permit) -> str:
    """Back to the table kept before this one; if there was none, nothing of ours is left."""
    before = _before(ruleset(permit))
    return f"""if [ -e {before} ]; then
  mv -f {before} {OUR_FILE} && /usr/sbin/nft -f {OUR_FILE}
else
  systemctl disable --quiet {OURS} 2>/dev/null
  rm -f {OUR_FILE} {UNIT_FILE} {FLUSHED_FILE}
  rmdir {FLUSHED_FILE.rpartition("/")[0]} 2>/dev/null
  systemctl daemon-reload
  {BACK_TO_KEPT}fi
"""


def _before(text: str) -> str:
    return f"{OUR_FILE}.before-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
