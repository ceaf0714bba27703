"""The order of versions, against the tools' own tables, against real dpkg, and against slow comparisons without keys."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.advisories import reference_orders

from wardkeep.advisories.versions import SCHEMES, NotAVersion, compare, key, scheme

SHARED = Path(__file__).parents[3] / "shared" / "data" / "advisories" / "versions"
FILES = {
    "alpine": "apk",
    "debian": "dpkg",
    "maven": "maven",
    "nuget": "nuget",
    "packagist": "composer",
    "pub": "pub",
    "pypi": "pypi",
    "redhat": "rpm",
    "rubygems": "gem",
    "semver": "semver",
}
# Ascending; `=` joins what is equal. Each line is from the manual of its tool, or from an advisory that got it wrong.
LADDERS = {
    "dpkg": (
        "1~~ 1~~a 1~ 1-0~ 1=1-0=0:1 1a 1+b1 1.0-1 1.0-1+deb12u1 1.0-1.1 1.0-4",
        "8.3.2 1:0.1 2:9.0.0-1 10:0",
        "0-4 0.9-1 12.2.0-14+deb12u1 12.2.0-14+deb12u1+ 12.2.0-14+deb12u2",
        "1:1.2.13.dfsg-1 1:1.2.13.dfsg-1+rpt1",
    ),
    "rpm": (
        "1.0~rc1 1.0 1.0^git1 1.0.a1=1.0.a01 1.0.1=1.0.01 1.0.2",
        "1 1-0 1-1 0:1-1.el8 0:1-1.el9 1:0.5-1",
    ),
    "apk": (
        "1.2_alpha 1.2_alpha1 1.2_beta 1.2_pre1 1.2_rc1 1.2 1.2-r0 1.2-r1 1.2-r10 1.2_cvs1 1.2_git2 1.2_p1 1.2a 1.2.1",
        "5.1p1-r0 5.1p1-r9 5.1p1-r10 5.1p2-r0",
        "8.2.0015 8.2.002 8.2.1",
    ),
    "pypi": (
        "0.1-bulbasaur 1.dev1 1a1.dev1 1a1=1-alpha_1 1b1 1rc1=1c1=1.pre1 1=1.0.0=v1 1+a 1+1 1.post1.dev1 1-1=1.post1=1.rev1 1.1 1!0.1",
    ),
    "npm": (
        "1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-rc.2 1.0.0-rc.11 1.0.0=v1.0.0=1.0.0+x=1=1.0 1.0.1",
    ),
    "go": ("0.0.0-20190101000000-abcdef 0.0.0-20200101000000-abcdef 1.0.0=v1.0.0 2.0.0+incompatible",),
    "pub": ("1.0.0-pre 1.0.0-pre+build 1.0.0 1.0.0+1 1.0.0+2 1.0.0+a",),
    "nuget": ("1.0.0-ALPHA=1.0-alpha 1.0.0-beta.2 1.0.0-beta.10 1.0=1.0.0.0=1+x 1.0.0.1-a 1.0.0.1",),
    "gem": ("1.0.a=1.a 1.0.a.2=1.0.a2 1.0.a10 1.0.b1 1=1.0=1.0.0 1.0.0.1 1.10", "1.a.0.b 1.a"),
    "composer": ("dev-foo 1.0-dev 1.0a1=1.0-alpha1 1.0b1 1.0RC1=1.0rc1 1.0=v1.0 1.0.0 1.0pl1=1.0p1",),
    "alpm": ("1.0a 1.0b 1.0beta 1.0rc 1.0=0:1.0=1.0-1 1.0.a 1.0.1", "1-1 1-2 1.1 1:0"),
    "gentoo": ("1_alpha 1_beta2 1_pre 1_rc1 1=1-r0 1-r1 1_p 1b 1.01 1.1 1.10",),
    "conan": ("1.0-alpha.3 1.0-alpha.22 1=1.0=1.0.0 1+b1=1.0+b1 1.1 1.a",),
    "openssl": ("0.9.8 0.9.8z 0.9.8za 1.0.2 1.1.1a 3.0.0-alpha2 3.0.0-alpha10 3.0.0 3.0.1",),
    "datetime": (
        "2024-01-01T00:00:00+02:00 2023-12-31T23:00:00Z=2024-01-01T00:00:00.000+01:00 2024-01-01T00:00:00.5Z",
    ),
    "lexicographic": ("A a aa b é",),
    "maven": (
        "1-alpha-1=1a1 1-beta 1-m2=1-milestone-2 1-rc=1-cr 1-SNAPSHOT 1=1.0=1.ga=1-final=1.RELEASE 1-sp 1-foo 1-1=1-ga-1 1.1",
        "v1 v1.2=v1.2.0 v1.10 0sp 0.0a 0-1 0.1 1.0-b1.x=1.0-beta-1.x 1.0-redhat-1 1.0-final-redhat-1 1.0-1",
        "v9 1.0.0.M2 1.0.0.RC1 1.0.RELEASE 1.0..2 999999999999999999999.0",
    ),
}


@pytest.mark.parametrize(
    ("name", "ladder"),
    [pytest.param(n, line, id=f"{n}-{i}") for n, lines in LADDERS.items() for i, line in enumerate(lines)],
)
def test_versions_sort_as_their_tools_sort_them(name: str, ladder: str) -> None:
    steps = [step.split("=") for step in ladder.split()]
    for same in steps:
        assert {compare(name, a, b) for a in same for b in same} == {0}, same
    for lower, higher in pairwise(steps):
        assert compare(name, lower[0], higher[0]) == -1, (lower, higher)
        assert compare(name, higher[0], lower[0]) == 1, (lower, higher)


def test_the_ladders_speak_of_every_scheme() -> None:
    assert LADDERS.keys() | {"semver", "cargo"} == set(SCHEMES)


def test_composer_holds_ranges_against_four_numbers() -> None:
    normal = scheme("composer").normal
    assert normal("v1.0") == "1.0.0.0"
    assert normal("1.0-b2") == "1.0.0.0-beta2"
    assert normal("2.1.0-stable") == normal("2.1-stable.dev") == "2.1.0.0"
    assert normal("2.1_dev") == "2.1.0.0-dev"
    assert normal("2.x-dev") == "2.9999999.9999999.9999999-dev"
    assert compare("composer", normal("1.0"), normal("1.0.0")) == 0
    assert compare("composer", normal("2.1.x-dev"), normal("2.1.30")) == 1
    assert compare("composer", normal("v2.1.x-dev"), normal("2.2.0-dev")) == -1
    with pytest.raises(NotAVersion, match="branch"):
        normal("dev-main")
    assert compare("composer", "dev-main", "1.0") == -1  # which is PHP's order, and no answer about a range


def test_releases_of_go_itself_are_read_as_their_advisories_write_them() -> None:
    normal = scheme("go").normal
    assert [
        normal(one) for one in ("go1.22rc2", "1.22beta1", "go1.20", "go1.21.3 X:boringcrypto", "v1.2.3-rc1")
    ] == [
        "1.22.0-rc.2",
        "1.22.0-beta.1",
        "1.20.0",
        "1.21.3",
        "v1.2.3-rc1",
    ]


def test_a_word_right_after_the_numbers_is_no_shorter_version() -> None:
    assert compare("npm", "1.2.3rc1", "1.2.3-rc1") == 0
    assert compare("npm", "1.2.3.4", "1.2.3") == 0
    with pytest.raises(NotAVersion):
        key("npm", "1.22rc1")


def test_an_epoch_that_rpm_prints_as_none_is_none() -> None:
    assert compare("rpm", "(none):1.0-1", "1.0-1") == 0


@pytest.mark.parametrize(
    ("name", "texts"),
    {
        "dpkg": ["", ":1", "1:", "a:1", "1.0-", "-1", "1 2", "1é", "9999999999:1"],
        "rpm": [""],
        "apk": [""],
        "pypi": ["", "1 2"],
        "npm": ["", "latest", "^1.0.0", "git+ssh://x", "1.x"],
        "nuget": ["", "1.*", "[1,2)"],
        "gem": ["1_0", "~> 1"],
        "composer": ["", "---", "1.#"],
        "maven": ["", "[1,2]x y"],
    }.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_version_is_refused_in_one_line(name: str, texts: list[str]) -> None:
    for text in texts:
        with pytest.raises(NotAVersion) as told:
            key(name, text) if name != "maven" else compare(name, text, "1")
        assert "\n" not in told.value.line()


def test_maven_has_no_key_because_its_order_is_none() -> None:
    assert [compare("maven", a, b) for a, b in (("1", "1.sp"), ("1.sp", "1-alpha"), ("1-alpha", "1"))] == [
        -1,
        -1,
        -1,
    ]
    with pytest.raises(NotAVersion, match="pairs"):
        key("maven", "1")
    with pytest.raises(NotAVersion, match="`dpkg`"):
        key("dkpg", "1")


def shared_lines() -> Iterator[tuple[str, str, str, str]]:
    for file, name in FILES.items():
        for line in (SHARED / f"{file}-versions.txt").read_text().splitlines():
            if line.strip() and not line.startswith(("#", "//")):
                left, sign, right = line.split(" ")
                yield name, left, sign, right


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared version tables are not beside the project")
def test_every_line_of_the_shared_tables() -> None:
    lines = list(shared_lines())
    wrong = [one for one in lines if "<=>"[compare(one[0], one[1], one[3]) + 1] != one[2]]
    turned = [one for one in lines if ">=<"[compare(one[0], one[3], one[1]) + 1] != one[2]]
    assert len(lines) > 1400
    assert wrong == turned == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared version tables are not beside the project")
def test_every_comparison_of_the_vers_specification() -> None:
    seen, wrong = 0, []
    for path in sorted((SHARED / "vers" / "tests").glob("*.json")):
        for one in json.loads(path.read_text())["tests"]:
            if one["test_type"] not in ("comparison", "equality"):
                continue
            seen += 1
            name = one["input"]["input_scheme"]
            given, told = one["input"]["versions"], one["expected_output"]
            if one["test_type"] == "equality":
                right_answer = (compare(name, *given) == 0) is told
            else:  # the versions in ascending order; one that NuGet writes in lower case is still the same
                right_answer = all(compare(name, a, b) < 1 for a, b in pairwise(told))
            if not right_answer:
                wrong.append((name, given, told))
    assert seen > 1850
    assert not wrong


@pytest.mark.skipif(not shutil.which("dpkg"), reason="this machine has no dpkg")
def test_dpkg_itself_agrees() -> None:
    pieces = (
        "1",
        "01",
        "1.0",
        "1~rc1",
        "1a",
        "1+b",
        "0:1.0",
        "1:0",
        "1-1",
        "1-0",
        "1-1~",
        "1.0-1.1",
        "a1",
        "+1:1",
        "1-",
        "1_2",
    )
    pairs = [(a, b) for a in pieces for b in pieces]
    script = "\n".join(
        f'dpkg --compare-versions "{a}" lt "{b}" 2>/dev/null; s=$?; [ $s = 1 ] && {{ dpkg --compare-versions "{a}" eq "{b}" '
        "2>/dev/null && s=eq; }; echo $s"
        for a, b in pairs
    )
    told = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    words = {"0": -1, "eq": 0, "1": 1}
    ours = [_or_refused("dpkg", a, b) for a, b in pairs]
    assert ours == [words.get(word, "refused") for word in told]
    assert {-1, 0, 1, "refused"} == set(ours)


def _or_refused(name: str, left: str, right: str) -> int | str:
    try:
        return compare(name, left, right)
    except NotAVersion:
        return "refused"


def joined(alphabet: str) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(alphabet.split()), min_size=1, max_size=7).map("".join)


LAWS: tuple[tuple[str, Callable[[str, str], int], st.SearchStrategy[str]], ...] = (
    ("dpkg", reference_orders.dpkg, joined("0 1 9 10 007 a Z ~ . + 255").map("1".__add__)),
    (
        "dpkg",
        reference_orders.dpkg,
        st.tuples(joined("0 1 a ~ ."), joined("0 1 a ~ + .")).map("0:1{0[0]}-0{0[1]}".format),
    ),
    ("rpm", reference_orders.rpm, joined("0 1 10 007 a B ~ ^ . _").map("1".__add__)),
    ("gem", reference_orders.gem, joined("0. 1. 10. a. b. 0.0.").map(lambda s: "1." + s[:-1])),
    ("composer", reference_orders.php, joined(". 0 1 10 dev a beta RC pl zz -").map("1".__add__)),
)


@pytest.mark.parametrize(("name", "slow", "texts"), LAWS, ids=[f"{one[0]}-{i}" for i, one in enumerate(LAWS)])
def test_keys_keep_the_order_of_a_slow_comparison(
    name: str, slow: Callable[[str, str], int], texts: st.SearchStrategy[str]
) -> None:
    @settings(max_examples=400, deadline=None, derandomize=True, database=None)
    @given(texts, texts)
    def law(left: str, right: str) -> None:
        if name == "rpm":  # without the mark of a missing release
            ours = (key("rpm", left) > key("rpm", right)) - (key("rpm", left) < key("rpm", right))
        else:
            ours = compare(name, left, right)
        assert ours == slow(left, right)

    law()


@given(st.lists(joined("1 0 2 . - a alpha sp rc ga SNAPSHOT x").map("1".__add__), min_size=2, max_size=2))
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_maven_turned_around_is_its_opposite(pair: list[str]) -> None:
    assert compare("maven", *pair) == -compare("maven", *reversed(pair))
    assert compare("maven", pair[0], pair[0]) == 0


@given(st.sampled_from([n for n in SCHEMES if SCHEMES[n].key]), st.text(max_size=12))
@settings(max_examples=400, deadline=None, derandomize=True, database=None)
def test_any_text_has_a_key_or_is_refused(name: str, text: str) -> None:
    try:
        made = key(name, text)
    except NotAVersion:
        return
    assert made
    assert key(name, text) == made
