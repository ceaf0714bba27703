"""Installed packages with what a person says of each and one published flaw: affected or not, and why. Own labels, no set of others.

The versions and what the vendors say of them are public facts, as their data stood when this was written (Debian's security tracker and
DSA / DLA lists, Alpine's secdb, OSV). Where a version is made up (`+rpt1` on a real one), the reason says what it stands for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wardkeep.advisories.components import Component
from wardkeep.advisories.database import Database
from wardkeep.advisories.ecosystems import normal_name
from wardkeep.advisories.inventories.debian import of_apk, of_dpkg
from wardkeep.advisories.matching import Matcher, State

FIX, OPEN, MINOR, NO, PERHAPS = "fix_available", "no_fix", "ignored", "not_affected", "unknown"
ABSENT = ""  # nothing is said at all

# source package, flaw, release, fixed version ("0": never affected, "": open), what the security team says of it
TRACKER = (
    ("openssh", "CVE-2024-6387", "bookworm", "1:9.2p1-2+deb12u3", ""),
    ("openssh", "CVE-2024-6387", "bullseye", "0", ""),
    ("xz-utils", "CVE-2024-3094", "bookworm", "0", ""),
    ("xz-utils", "CVE-2024-3094", "sid", "5.6.1+really5.4.5-1", ""),
    ("zlib", "CVE-2023-45853", "bookworm", "", "ignored: contrib/minizip not built and src:zlib not producing binary packages"),
    ("db5.3", "CVE-2019-8457", "bookworm", "", "no-dsa: Minor issue"),
    ("glibc", "CVE-2023-4911", "bookworm", "2.36-9+deb12u3", ""),
    ("glibc", "CVE-2023-4911", "bullseye", "2.31-13+deb11u7", ""),
    ("curl", "CVE-2023-38545", "bookworm", "7.88.1-10+deb12u4", ""),
    ("curl", "CVE-2023-38545", "bullseye", "7.74.0-1.3+deb11u10", ""),
    ("policykit-1", "CVE-2021-4034", "bullseye", "0.105-31+deb11u1", ""),
    ("redis", "CVE-2024-46981", "bookworm", "5:7.0.15-1~deb12u3", ""),
    ("ffmpeg", "CVE-2024-35367", "bullseye", "7:4.3.8-0+deb11u2", ""),
    ("python-aiohttp", "CVE-2024-23334", "bullseye", "3.7.4-1+deb11u1", ""),
    ("openjdk-11", "CVE-2025-21502", "bullseye", "11.0.26+4-1~deb11u1", ""),
    ("chromium", "CVE-2025-0762", "bookworm", "132.0.6834.159-1~deb12u1", ""),
    ("util-linux", "CVE-2024-28085", "bookworm", "2.38.1-5+deb12u1", ""),
    ("lvm2", "CVE-2020-8991", "bookworm", "0", ""),
    ("linux", "CVE-2024-1086", "bookworm", "6.1.76-1", ""),
    ("bind9", "CVE-2023-50387", "bookworm", "1:9.18.24-1", ""),
    ("unbound", "CVE-2023-50387", "bookworm", "1.17.1-2+deb12u2", ""),
    ("libwebp", "CVE-2023-4863", "bookworm", "1.2.4-0.2+deb12u1", ""),
    ("gcc-12", "CVE-2023-4039", "bookworm", "", "ignored: Too intrusive to backport"),
    ("shadow", "CVE-2023-29383", "bookworm", "", "no-dsa: Minor issue"),
    ("pam-u2f", "CVE-2025-23013", "bullseye", "1.1.0-1.1+deb11u1", ""),
)  # fmt: skip
# status entries `package version [source]` of dpkg, joined by "; "; the release; the flaw; the right answer; why
DEBIAN = (
    ("openssh-server 1:9.2p1-2+deb12u2 openssh", "12", "CVE-2024-6387", FIX, "below the DSA's version"),
    ("openssh-server 1:9.2p1-2+deb12u3 openssh", "12", "CVE-2024-6387", NO, "backported: upstream's 9.8p1 is not needed"),
    ("openssh-server 1:9.2p1-2+deb12u10 openssh", "12", "CVE-2024-6387", NO, "u10 is above u3: numbers, not text"),
    ("openssh-server 1:9.2p1-2 openssh", "12", "CVE-2024-6387", FIX, "as first released, no suffix"),
    ("openssh-server 1:8.4p1-5+deb11u3 openssh", "11", "CVE-2024-6387", NO, "bullseye's version was never affected"),
    ("openssh-server 1:9.2p1-2+deb12u2 openssh", "13", "CVE-2024-6387", ABSENT, "nothing is said of trixie here"),
    ("openssh-client 1:9.2p1-2+deb12u2 openssh; openssh-server 1:9.2p1-2+deb12u2 openssh", "12", "CVE-2024-6387", FIX, "two binaries, one finding"),
    ("openssh-server 1:9.2p1-2+deb12u1+rpt1 openssh", "12", "CVE-2024-6387", PERHAPS, "a Raspberry Pi rebuild is not Debian's"),
    ("openssh-server 1:9.7p1-4~bpo12+1 openssh", "12", "CVE-2024-6387", PERHAPS, "of backports, which the security data do not cover"),
    ("liblzma5 5.4.1-0.2 xz-utils", "12", "CVE-2024-3094", NO, "the door was never in bookworm"),
    ("liblzma5 5.6.1-1 xz-utils", "sid", "CVE-2024-3094", FIX, "the version with the door"),
    ("liblzma5 5.6.1+really5.4.5-1 xz-utils", "sid", "CVE-2024-3094", NO, "+really: an older one with a higher number"),
    ("zlib1g 1:1.2.13.dfsg-1 zlib", "12", "CVE-2023-45853", NO, "minizip is not built: no binary has the code"),
    ("libdb5.3 5.3.28+dfsg2-1 db5.3", "12", "CVE-2019-8457", MINOR, "minor for Debian, whatever another calls it"),
    ("libc6 2.36-9+deb12u1 glibc", "12", "CVE-2023-4911", FIX, "below the DSA's version"),
    ("libc6 2.36-9+deb12u3 glibc", "12", "CVE-2023-4911", NO, "the DSA's version itself"),
    ("libc6 2.36-9+deb12u9 glibc", "12", "CVE-2023-4911", NO, "a later point release"),
    ("libc6 2.31-13+deb11u6 glibc", "11", "CVE-2023-4911", FIX, "another release, another fix"),
    ("libc6 2.31-13+deb11u7 glibc", "11", "CVE-2023-4911", NO, "bullseye's fix, below bookworm's"),
    ("curl 7.88.1-10+deb12u3", "12", "CVE-2023-38545", FIX, "no Source: the package is its own"),
    ("curl 7.88.1-10+deb12u4", "12", "CVE-2023-38545", NO, "patched, with upstream's 7.88.1 still"),
    ("libcurl4 7.88.1-10+deb12u3 curl", "12", "CVE-2023-38545", FIX, "the library has it, by its source"),
    ("libcurl4 7.88.1-10+deb12u4+b1 curl", "12", "CVE-2023-38545", NO, "rebuilt (+b1) from the patched source"),
    ("curl 7.74.0-1.3+deb11u9", "11", "CVE-2023-38545", FIX, "u9 is below u10"),
    ("curl 7.74.0-1.3+deb11u10", "11", "CVE-2023-38545", NO, "u10 itself"),
    ("policykit-1 0.105-31", "11", "CVE-2021-4034", FIX, "as released"),
    ("policykit-1 0.105-31+deb11u1", "11", "CVE-2021-4034", NO, "pwnkit, patched"),
    ("redis-server 5:7.0.15-1~deb12u2 redis", "12", "CVE-2024-46981", FIX, "the epoch stands on both sides"),
    ("redis-server 5:7.0.15-1~deb12u3 redis", "12", "CVE-2024-46981", NO, "the DSA's version"),
    ("redis-server 5:7.0.15-1 redis", "12", "CVE-2024-46981", NO, "without the tilde is above it, as dpkg orders"),
    ("libavcodec58 7:4.3.8-0+deb11u1 ffmpeg", "11", "CVE-2024-35367", FIX, "epoch 7, a DLA's fix"),
    ("libavcodec58 7:4.3.8-0+deb11u2 ffmpeg", "11", "CVE-2024-35367", NO, "the DLA's version"),
    ("python3-aiohttp 3.7.4-1 python-aiohttp", "11", "CVE-2024-23334", FIX, "by its source's name"),
    ("python3-aiohttp 3.7.4-1+deb11u1 python-aiohttp", "11", "CVE-2024-23334", NO, "patched; PyPI's 3.9.2 is not asked"),
    ("openjdk-11-jre-headless 11.0.25+9-1~deb11u1 openjdk-11", "11", "CVE-2025-21502", FIX, "11.0.25+9 is below 11.0.26+4"),
    ("openjdk-11-jre-headless 11.0.26+4-1~deb11u1 openjdk-11", "11", "CVE-2025-21502", NO, "the DLA's version"),
    ("chromium 131.0.6778.264-1~deb12u1", "12", "CVE-2025-0762", FIX, "one week behind"),
    ("chromium 132.0.6834.159-1~deb12u1", "12", "CVE-2025-0762", NO, "the DSA's version"),
    ("bsdutils 1:2.38.1-5+b1 util-linux (2.38.1-5)", "12", "CVE-2024-28085", FIX, "the binary's epoch is not the source's"),
    ("bsdutils 1:2.38.1-5+deb12u1 util-linux (2.38.1-5+deb12u1)", "12", "CVE-2024-28085", NO, "by the source's version"),
    ("mount 2.38.1-5+b1 util-linux (2.38.1-5)", "12", "CVE-2024-28085", FIX, "a rebuild of the unpatched source"),
    ("dmsetup 2:1.02.185-2 lvm2 (2.03.16-2)", "12", "CVE-2020-8991", NO, "the source is 2.03.16, never affected"),
    ("linux-image-6.1.0-17-amd64 6.1.69-1 linux-signed-amd64 (6.1.69+1)", "12", "CVE-2024-1086", FIX, "the signed kernel is linux 6.1.69-1"),
    ("linux-image-6.1.0-18-amd64 6.1.76-1 linux-signed-amd64 (6.1.76+1)", "12", "CVE-2024-1086", NO, "the signed kernel is linux 6.1.76-1"),
    ("linux-libc-dev 6.1.69-1 linux", "12", "CVE-2024-1086", FIX, "the same source, unsigned"),
    ("bind9-libs 1:9.18.19-1~deb12u1 bind9", "12", "CVE-2023-50387", FIX, "one flaw, two sources: bind9"),
    ("unbound 1.17.1-2+deb12u2", "12", "CVE-2023-50387", NO, "one flaw, two sources: unbound, patched"),
    ("libwebp7 1.2.4-0.2 libwebp", "12", "CVE-2023-4863", FIX, "0.2 without the suffix"),
    ("libwebp7 1.2.4-0.2+deb12u1 libwebp", "12", "CVE-2023-4863", NO, "the DSA's version"),
    ("libgcc-s1 12.2.0-14 gcc-12", "12", "CVE-2023-4039", MINOR, "affected; too intrusive for a release"),
    ("login 1:4.13+dfsg1-1+b1 shadow (1:4.13+dfsg1-1)", "12", "CVE-2023-29383", MINOR, "a rebuild, and minor"),
    ("libpam-u2f 1.1.0-1.1+b1 pam-u2f (1.1.0-1.1)", "11", "CVE-2025-23013", FIX, "+b1 is above 1.1.0-1.1, not above the fix"),
    ("libpam-u2f 1.1.0-1.1+deb11u1 pam-u2f", "11", "CVE-2025-23013", NO, "the DLA's version"),
    ("-openssh-server 1:9.2p1-2+deb12u2 openssh", "12", "CVE-2024-6387", ABSENT, "removed, its configuration left"),
)  # fmt: skip
# `fixed` of Alpine's secdb; apk's database: name, version, origin
ALPINE = (
    ("openssl", "CVE-2023-0464", "v3.17", "3.0.8-r1"),
    ("zlib", "CVE-2022-37434", "v3.16", "1.2.12-r2"),
    ("busybox", "CVE-2022-28391", "v3.15", "1.34.1-r5"),
    ("apk-tools", "CVE-2021-36159", "v3.14", "2.12.6-r0"),
)
APK = (
    ("libcrypto3", "3.0.8-r0", "openssl", "v3.17", "CVE-2023-0464", FIX, "by its origin"),
    ("libcrypto3", "3.0.8-r1", "openssl", "v3.17", "CVE-2023-0464", NO, "patched in revision 1"),
    ("libcrypto3", "3.0.8-r10", "openssl", "v3.17", "CVE-2023-0464", NO, "r10 is above r1"),
    ("libcrypto3", "3.0.8-r0", "openssl", "v3.18", "CVE-2023-0464", ABSENT, "another branch"),
    ("zlib", "1.2.12-r1", "zlib", "v3.16", "CVE-2022-37434", FIX, "one revision behind"),
    ("zlib", "1.2.12-r2", "zlib", "v3.16", "CVE-2022-37434", NO, "backported: upstream's is 1.2.13"),
    ("ssl_client", "1.34.1-r4", "busybox", "v3.15", "CVE-2022-28391", FIX, "a part of busybox"),
    ("apk-tools", "2.12.5-r1", "apk-tools", "v3.14", "CVE-2021-36159", FIX, "below"),
    ("apk-tools", "2.12.7-r0", "apk-tools", "v3.14", "CVE-2021-36159", NO, "above"),
)
# OSV: id, aliases, ecosystem, package, (introduced, fixed) spans. A PYSEC record beside the GHSA one is the same flaw.
RECORDS: tuple[tuple[str, tuple[str, ...], str, str, tuple[tuple[str, str], ...]], ...] = (
    ("GHSA-h5c8-rqwp-cp95", ("CVE-2024-22195",), "PyPI", "jinja2", (("0", "3.1.3"),)),
    ("GHSA-j8r2-6x86-q33q", ("CVE-2023-32681",), "PyPI", "requests", (("2.3.0", "2.31.0"),)),
    ("PYSEC-2023-74", ("CVE-2023-32681", "GHSA-j8r2-6x86-q33q"), "PyPI", "requests", (("2.3.0", "2.31.0"),)),
    ("GHSA-v845-jxx5-vc9f", ("CVE-2023-43804",), "PyPI", "urllib3", (("0", "1.26.17"), ("2.0.0", "2.0.6"))),
    ("GHSA-8q59-q68h-6hv4", ("CVE-2020-14343",), "PyPI", "pyyaml", (("0", "5.4"),)),
    ("GHSA-35jh-r3h4-6jhm", ("CVE-2021-23337",), "npm", "lodash", (("0", "4.17.21"),)),
    ("GHSA-xvch-5gv4-984h", ("CVE-2021-44906",), "npm", "minimist", (("0", "0.2.4"), ("1.0.0", "1.2.6"))),
    ("GHSA-4374-p667-p6c8", ("CVE-2023-39325",), "Go", "golang.org/x/net", (("0", "0.17.0"),)),
    ("GHSA-jfh8-c2jp-5v3q", ("CVE-2021-44228",), "Maven", "org.apache.logging.log4j:log4j-core",
     (("2.13.0", "2.15.0"), ("2.4", "2.12.2"), ("2.0-beta9", "2.3.1"))),
)  # fmt: skip
PACKAGES = (
    ("PyPI", "Jinja2", "3.1.2", "CVE-2024-22195", FIX, "written with a capital"),
    ("PyPI", "jinja2", "3.1.3", "CVE-2024-22195", NO, "the fix"),
    ("PyPI", "jinja2", "3.1.3rc1", "CVE-2024-22195", FIX, "a candidate is below its release"),
    ("PyPI", "jinja2", "3.1.3.post1", "CVE-2024-22195", NO, "a post-release is above"),
    ("npm", "jinja2", "3.1.2", "CVE-2024-22195", ABSENT, "another ecosystem's package of the name"),
    ("PyPI", "requests", "2.30.0", "CVE-2023-32681", FIX, "GitHub's and PyPA's records are one flaw"),
    ("PyPI", "requests", "2.2.1", "CVE-2023-32681", NO, "before it began"),
    ("PyPI", "requests", "2.31", "CVE-2023-32681", NO, "2.31 is 2.31.0"),
    ("PyPI", "urllib3", "1.26.16", "CVE-2023-43804", FIX, "the old line"),
    ("PyPI", "urllib3", "1.26.18", "CVE-2023-43804", NO, "the old line, mended, below 2.0.0"),
    ("PyPI", "urllib3", "2.0.5", "CVE-2023-43804", FIX, "the new line"),
    ("PyPI", "PyYAML", "5.3.1", "CVE-2020-14343", FIX, "a name with capitals"),
    ("PyPI", "PyYAML", "5.4", "CVE-2020-14343", NO, "the fix"),
    ("npm", "lodash", "4.17.20", "CVE-2021-23337", FIX, "below"),
    ("npm", "lodash", "4.17.21", "CVE-2021-23337", NO, "the fix"),
    ("npm", "lodash-es", "4.17.20", "CVE-2021-23337", ABSENT, "a package of another name"),
    ("npm", "minimist", "0.2.4", "CVE-2021-44906", NO, "the old line, mended"),
    ("npm", "minimist", "1.2.5", "CVE-2021-44906", FIX, "the new line"),
    ("Go", "golang.org/x/net", "v0.16.0", "CVE-2023-39325", FIX, "with Go's v"),
    ("Go", "golang.org/x/net", "0.17.0", "CVE-2023-39325", NO, "without it"),
    ("Go", "golang.org/x/net", "v0.0.0-20231003153355-a8e0109124a1", "CVE-2023-39325", FIX, "a pseudo-version is below"),
    ("Maven", "org.apache.logging.log4j:log4j-core", "2.14.1", "CVE-2021-44228", FIX, "log4shell"),
    ("Maven", "org.apache.logging.log4j:log4j-core", "2.12.2", "CVE-2021-44228", NO, "mended for Java 7"),
    ("Maven", "org.apache.logging.log4j:log4j-core", "2.0-beta8", "CVE-2021-44228", NO, "before it began"),
    ("Maven", "org.apache.logging.log4j:log4j-api", "2.14.1", "CVE-2021-44228", ABSENT, "the API has no such code"),
)  # fmt: skip


@dataclass(frozen=True)
class Label:
    """One labelled match. `answer` is a state, or "" where nothing may be said."""

    name: str
    components: tuple[Component, ...]
    flaw: str
    answer: str
    why: str

    @property
    def positive(self) -> bool:
        """Whether the flaw really is in the package, called minor or not. Undecidable ones are neither; see `counted`."""
        return self.answer in (FIX, OPEN, MINOR)

    @property
    def counted(self) -> bool:
        return self.answer != PERHAPS


def labels() -> list[Label]:
    made = []
    for entries, release, flaw, answer, why in DEBIAN:
        status = "\n".join(map(_stanza, entries.split("; ")))
        found = tuple(of_dpkg(status, f"Debian:{release}"))
        made.append(Label(f"Debian:{release} {entries}", found, flaw, answer, why))
    for name, version, origin, branch, flaw, answer, why in APK:
        found = tuple(of_apk(f"P:{name}\nV:{version}\no:{origin}\n\n", f"Alpine:{branch}"))
        made.append(Label(f"Alpine:{branch} {name} {version}", found, flaw, answer, why))
    for ecosystem, name, version, flaw, answer, why in PACKAGES:
        one = Component(ecosystem, normal_name(ecosystem, name), version)
        made.append(Label(f"{ecosystem} {name} {version}", (one,), flaw, answer, why))
    return made


def answers(db: Database, label: Label) -> list[str]:
    """What is said of the label's flaw: a state for each match, so that a flaw told twice is seen."""
    found = Matcher(db).matches(label.components, dismissed=True)
    return [one.state.value for one in found if label.flaw in (one.id, *one.aliases)]


def says_affected(states: list[str]) -> bool:
    return any(state in (State.FIX_AVAILABLE, State.NO_FIX, State.IGNORED) for state in states)


def write_label_feeds(folder: Path) -> Path:
    """The vendors' data in their own forms."""
    folder.mkdir(parents=True)
    tracker: dict[str, Any] = {}
    for source, flaw, release, fixed, team in TRACKER:
        said: dict[str, Any] = {"status": "resolved" if fixed else "open", "urgency": "not yet assigned"}
        said["repositories"] = {release: fixed} if fixed not in ("", "0") else {release: "0~older"}
        if fixed:
            said["fixed_version"] = fixed
        if team:
            said["nodsa_reason"], said["nodsa"] = ("", team.partition(": ")[2])
            if team.startswith("ignored"):
                said["nodsa_reason"] = "ignored"
        tracker.setdefault(source, {}).setdefault(flaw, {"releases": {}})["releases"][release] = said
    (folder / "debian-tracker.json").write_text(json.dumps(tracker))
    records = [
        _record(name, aliases, ecosystem, package, spans)
        for name, aliases, ecosystem, package, spans in RECORDS
    ]
    records += [
        _record(f"ALPINE-{flaw}", (flaw,), f"Alpine:{branch}", package, (("0", fixed),))
        for package, flaw, branch, fixed in ALPINE
    ]
    (folder / "osv-labelled.json").write_text(json.dumps(records))
    return folder


def _stanza(entry: str) -> str:
    package, version, *source = entry.lstrip("-").split(" ", 2)
    told = f"Package: {package}\nVersion: {version}\n"
    told += f"Source: {source[0]}\n" if source else ""
    removed = entry.startswith("-")
    return told + f"Status: {'deinstall ok config-files' if removed else 'install ok installed'}\n"


def _record(
    name: str, aliases: tuple[str, ...], ecosystem: str, package: str, spans: tuple[tuple[str, str], ...]
) -> dict[str, Any]:
    events = [{"events": [{"introduced": low}, {"fixed": high}], "type": "ECOSYSTEM"} for low, high in spans]
    affected = [{"package": {"ecosystem": ecosystem, "name": package}, "ranges": events}]
    times = {"modified": "2026-11-20T00:00:00Z", "published": "2026-11-01T00:00:00Z"}
    return {"id": name, "aliases": list(aliases), "affected": affected, **times}
