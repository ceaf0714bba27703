"""On live Debian hosts: a package with a published flaw found, patched and seen to turn green; what an intruder leaves, found in one look."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.e2e.operating import ACTOR, Operating, operating
from tests.engine.flaws_world import give_feeds

from wardkeep.engine.cycle import check
from wardkeep.lab import Host

pytestmark = pytest.mark.e2e
OLD, FIXED = "1.0-1+deb12u1", "1.0-1+deb12u2"
NAME = "wardkeep-sample"
INSTALL = """set -e
d=$(mktemp -d); chmod 755 "$d"; mkdir "$d/DEBIAN"
printf 'Package: wardkeep-sample\\nVersion: {version}\\nArchitecture: all\\nMaintainer: x <x@localhost>\\nDescription: of a test\\n' >"$d/DEBIAN/control"
dpkg-deb --build "$d" "$d.deb" >/dev/null && dpkg -i "$d.deb" >/dev/null
rm -r "$d" "$d.deb"
"""


def late_fix(platform_release: str) -> dict[str, object]:
    """A flaw in the published form, mended for longer than any deadline."""
    told = {
        "status": "resolved",
        "repositories": {platform_release: FIXED},
        "fixed_version": FIXED,
        "urgency": "high",
    }
    return {
        "CVE-2026-4242": {"description": "a flaw", "scope": "remote", "releases": {platform_release: told}}
    }


def subjects(at: Operating) -> dict[str, str]:
    """Subject → verdict of the row's findings now."""
    return {
        one.subject: str(one.verdict) for one in check(at.platform, ACTOR, [at.host], [at.control]).findings
    }


@pytest.mark.parametrize(
    ("debian_host", "release"), [("12", "bookworm"), ("13", "trixie")], indirect=["debian_host"]
)
def test_found_patched_and_seen_to_turn_green(debian_host: Host, release: str, tmp_path: Path) -> None:
    with operating(tmp_path / "state", debian_host, "vulnerability_scanning") as at:
        long_ago = datetime.now(UTC).replace(year=datetime.now(UTC).year - 1)
        give_feeds(at.platform, tmp_path / "old", long_ago, **{NAME: late_fix(release)})
        give_feeds(at.platform, tmp_path, datetime.now(UTC), **{NAME: late_fix(release)})
        debian_host.stage(INSTALL.format(version=OLD))
        assert subjects(at)[f"package:{NAME}"] == "fail"
        debian_host.stage(INSTALL.format(version=FIXED))
        assert f"package:{NAME}" not in subjects(at)
        drilled = at.drill()
        assert (drilled.verdict, [step.verdict for step in drilled.steps]) == ("pass", ["pass", "pass"]), (
            drilled
        )
        assert debian_host.run("test -e /run/wardkeep-drill-root").exit == 1
        assert debian_host.run(f"dpkg-query -W -f '${{Version}}' {NAME}").stdout == FIXED


def test_what_an_intruder_leaves_is_found_in_one_look(debian_host: Host, tmp_path: Path) -> None:
    with operating(tmp_path / "state", debian_host, "vm_scans") as at:
        before = subjects(at)
        planted = "/usr/local/bin/wk-planted"
        assert not any(planted in subject for subject in before)
        debian_host.stage(f"cp /bin/true {planted} && chmod 4777 {planted}")
        debian_host.stage(
            "cp /usr/bin/perl /usr/local/bin/wk-listener && systemd-run --unit wk-listener /usr/local/bin/wk-listener -e "
            "'use Socket; socket(S, PF_INET, SOCK_STREAM, 0); bind(S, sockaddr_in(4242, INADDR_ANY)) or die; listen(S, 1); sleep 600'"
        )
        debian_host.stage(
            "for n in 1 2 3 4 5 6 7 8 9 10; do ss -Hltn | grep -q :4242 && exit 0; sleep 1; done; exit 1"
        )
        after = subjects(at)
        new = {
            subject: verdict
            for subject, verdict in after.items()
            if verdict == "fail" and before.get(subject) != "fail"
        }
        assert sum(planted in subject for subject in new) >= 1, new
        assert any("wk-listener" in subject for subject in new), new
        debian_host.stage(f"systemctl stop wk-listener; rm {planted} /usr/local/bin/wk-listener")
        assert not {s for s, verdict in subjects(at).items() if verdict == "fail" and s in new}
