"""Version order: 0 wrong answers against dpkg's own library on at least 200,000 pairs, and how fast keys are made and compared.

python -m bench.versions

The pairs are of the packages this machine's apt knows, with the versions of Debian's security lists beside the project where
they are there, and of edits of both. The yardstick is libdpkg itself (compiled here, with libdpkg-dev and gcc installed), or
apt's comparison by the system's Python; then `dpkg --compare-versions`, a process a pair.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from wardkeep.advisories.versions import NotAVersion, key

PAIRS = 210_000
SIGNED = re.compile(r"(?:^|\t)\s*[+-]")  # of a pair: dpkg reads an epoch with a sign as a number, apt as text
SHARED = Path(__file__).parents[2] / "shared" / "data" / "advisories" / "debian"
EDITS = (
    "+deb12u1",
    "~bpo12+1",
    "-1.1",
    "~rc1",
    "+b2",
    ".0",
    "a",
    "~",
    "-0ubuntu1",
    "+",
    "~~",
    "0",
    ".01",
    "+really1",
)
ORACLE_C = r"""
#include <stdio.h>
#include <string.h>
#include <dpkg/dpkg.h>
#include <dpkg/ehandle.h>
#include <dpkg/error.h>
#include <dpkg/dpkg-db.h>
#include <dpkg/version.h>
int main(void) {
  static char line[65536];
  while (fgets(line, sizeof line, stdin)) {
    char *b = strchr(line, '\t'); *b++ = 0; b[strcspn(b, "\n")] = 0;
    struct dpkg_version x, y; struct dpkg_error e = DPKG_ERROR_INIT;
    int bad = 0;
    if (parseversion(&x, line, &e) < 0 && e.type == DPKG_MSG_ERROR) bad = 1;
    dpkg_error_destroy(&e); memset(&e, 0, sizeof e);
    if (parseversion(&y, b, &e) < 0 && e.type == DPKG_MSG_ERROR) bad = 1;
    dpkg_error_destroy(&e);
    if (bad) { puts("!"); continue; }
    int r = dpkg_version_compare(&x, &y);
    puts(r < 0 ? "<" : r > 0 ? ">" : "=");
  }
  return 0;
}
"""
ORACLE_PY = r"""
import sys, apt_pkg
apt_pkg.init_system()
for line in sys.stdin:
    r = apt_pkg.version_compare(*line.rstrip("\n").split("\t"))
    print("<" if r < 0 else ">" if r > 0 else "=")
"""


def main() -> None:
    pairs = made_pairs(random.Random(5))
    name, told, seconds = oracle(pairs)
    began = time.process_time()
    keys: dict[str, bytes | None] = {}
    for text in {text for pair in pairs for text in pair}:
        try:
            keys[text] = key("dpkg", text)
        except NotAVersion:
            keys[text] = None
    made = time.process_time() - began
    began = time.process_time()
    ours = []
    for a, b in pairs:
        x, y = keys[a], keys[b]
        ours.append("!" if x is None or y is None else "<" if x < y else ">" if x > y else "=")
    compared = time.process_time() - began
    # apt compares what dpkg refuses, so it cannot say whether a refusal is right; nor does it know signs as dpkg does.
    wrong = [
        (*pair, t, o)
        for pair, t, o in zip(pairs, told, ours, strict=True)
        if t != o and (name == "libdpkg" or (o != "!" and not SIGNED.search("\t".join(pair))))
    ]
    size = sum(len(k or b"") for k in keys.values()) / len(keys)
    print(
        f"{len(pairs):,} pairs of {len(keys):,} versions; {ours.count('!')} refused; keys of {size:.1f} bytes"
    )
    print(
        f"0 wrong orders of dpkg versions: {'kept' if not wrong else 'NOT kept'}"
        f" ({len(wrong)} of {len(pairs):,} pairs; beside {name})"
    )
    for one in wrong[:10]:
        print("   ", one)
    print(f"{name}: {len(pairs) / seconds:,.0f} pairs/s with the pipe")
    print(
        f"our keys: {len(keys) / made:,.0f} made/s, then {len(pairs) / compared:,.0f} pairs/s in a Python loop"
    )
    if shutil.which("dpkg"):
        some = pairs[:200]
        began = time.perf_counter()
        for a, b in some:
            subprocess.run(["dpkg", "--compare-versions", a, "lt", b], stderr=subprocess.DEVNULL)
        print(f"`dpkg --compare-versions`: {len(some) / (time.perf_counter() - began):,.0f} pairs/s")
    sys.exit(bool(wrong))


def made_pairs(chance: random.Random) -> list[tuple[str, str]]:
    known: dict[str, set[str]] = defaultdict(set)
    if shutil.which("apt-cache"):
        told = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True).stdout
        for name, version in re.findall(r"^Package: (\S+)\n(?:.+\n)*?Version: (\S+)$", told, re.M):
            known[name].add(version)
    for path in sorted(SHARED.glob("D?A.list")):
        for name, version in re.findall(r"^\s*\[\w+\] - (\S+) (\d\S*)", path.read_text(), re.M):
            known[name].add(version)
    if not known:
        known["made"] = {f"{a}.{b}-{c}" for a in range(9) for b in range(9) for c in range(9)}
    names = sorted(known)
    pool = [sorted(known[name]) for name in names]
    pairs = []
    while len(pairs) < PAIRS:
        one = chance.choice(pool)
        a, b = chance.choice(one), chance.choice(one)
        if chance.random() < 0.3:
            b = chance.choice(chance.choice(pool))
        if chance.random() < 0.5:
            at = chance.randrange(len(b) + 1)
            b = (a if chance.random() < 0.5 else b)[:at] + chance.choice(EDITS) + b[at:]
        if "\t" not in a + b:
            pairs.append((a, b))
    return pairs


def oracle(pairs: list[tuple[str, str]]) -> tuple[str, list[str], float]:
    text = "".join(f"{a}\t{b}\n" for a, b in pairs)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "oracle.c"
        source.write_text(ORACLE_C)
        compiled = [
            "gcc", "-O2", "-w", "-DLIBDPKG_VOLATILE_API", str(source), "-o", f"{folder}/oracle", "-ldpkg", "-lmd",
        ]  # fmt: skip
        name, command = "libdpkg", [f"{folder}/oracle"]
        if not shutil.which("gcc") or subprocess.run(compiled, capture_output=True).returncode:
            name, command = "apt_pkg (no libdpkg-dev here)", ["/usr/bin/python3", "-c", ORACLE_PY]
        began = time.perf_counter()
        told = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return name, told.stdout.split(), time.perf_counter() - began


if __name__ == "__main__":
    main()
