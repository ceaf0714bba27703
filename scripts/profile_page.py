"""Write docs/host-profile.md from the profile's data file. Run by `make docs`; a test compares."""

from __future__ import annotations

import sys
from pathlib import Path

from wardkeep.scans.profile import HostProfile, host_profile

PAGE = Path(__file__).parents[1] / "docs" / "host-profile.md"


def page(profile: HostProfile) -> str:
    """The page: controls, topics with rules or reasons, CIS sections."""
    source = profile.source
    lines = [
        "# The host profile for Debian 12 and 13",
        "",
        f"ComplianceAsCode maps {len(profile.controls)} HIPAA controls to rules for hosts of other distributions; for Debian it has no such",
        "profile. This is ours: each control is mapped to topics, and each topic to rules of Wardkeep or to the reason why there is none.",
        "`wardkeep scan profile` shows the verdicts of now; `--cis` those of the CIS benchmarks' topics. Keeping a profile is no compliance:",
        "most of the Security Rule is about people.",
        "",
        f"Names of controls, rules and levels are of {source['project']} ({', '.join(source['files'])}) at `{source['commit'][:12]}`;",
        "the sentences are our own. The file is `src/wardkeep/scans/hipaa-debian.json`; this page is made from it by `make docs`.",
        "",
        "## Controls",
        "",
        "| 45 CFR | control | topics |",
        "|---|---|---|",
    ]
    lines += [
        f"| {one.id} | {one.title} | {', '.join(topic.id for topic in one.topics)} |"
        for one in profile.controls
    ]
    lines += [
        "",
        "## Topics",
        "",
        "| topic | asks that | our rules | not looked at, or why |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.id} | {one.says} | {' '.join(f'`{rule}`' for rule in one.rules) or 'none'} | {one.reason} |"
        for one in profile.topics
    ]
    lines += [
        "",
        "## CIS benchmarks",
        "",
        "| section | levels | our rules | not looked at, or why |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {one.number} {one.name} | {', '.join(one.levels)} | {' '.join(f'`{rule}`' for rule in one.rules) or 'none'} | {one.reason} |"
        for one in profile.cis
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(host_profile()))
    sys.stdout.write(f"{PAGE}\n")
