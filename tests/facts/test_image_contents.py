"""The walk into running images sees what the engine sees in the same files, and nothing that a hostile image wants seen."""

from __future__ import annotations

import io
import os
import zipfile
from collections import Counter
from pathlib import Path

import pytest
from tests.advisories.small_images import DEBIAN, Layer, Link, Program
from tests.advisories.test_installed import CRATES, INSTALLED, SITE, go_program, jar
from tests.advisories.test_rpm import FORMS, HEADERS, OWNED
from tests.facts.walked_images import container, needs_root, unpack, walk, walk_of

from wardkeep.advisories.components import Inventory
from wardkeep.advisories.inventories import read_path
from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.image_contents import ImageContent, ImageContents
from wardkeep.facts.image_contents_script import SCRIPT

assert CRATES  # the Rust program of INSTALLED is made of them
EVERYTHING: dict[str, bytes | str | None] = {
    path: content
    for layer, _ in INSTALLED.values()
    for path, content in layer.items()
    if path != "app/server"
}
EVERYTHING |= {"app/go": INSTALLED["Go"][0]["app/server"], "app/rust": INSTALLED["Rust"][0]["app/server"]}


def stored(name: str, inside: bytes) -> bytes:
    """A jar that holds another one as it is, with a program before it, as Spring Boot makes them."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"BOOT-INF/lib/{name}", inside)
    return b"#!/bin/sh\nexec java -jar $0\n" + made.getvalue()


def one_of(answer: Answer) -> ImageContent:
    assert answer.exit == 0, answer.stderr
    (one,) = ImageContents.parse(answer).images
    return one


def told(made: Inventory) -> tuple[set[object], Counter[str]]:
    """What may be asked of the advisories, and what is not known."""
    return set(made.components), Counter(f"{n.kind} {n.subject}" for n in made.notices)


TREES: dict[str, Layer] = {
    "every language": EVERYTHING,
    **{
        f"rpm, {form}": {
            "etc/os-release": b'ID="almalinux"\nVERSION_ID="9.4"\n',
            place: make(*HEADERS),
            OWNED.lstrip("/"): b"Name: six\nVersion: 1.15.0\n",
            f"{SITE}/idna-3.4.dist-info/METADATA": b"Name: idna\nVersion: 3.4\n",
        }
        for form, (place, make) in FORMS.items()
    },
    "rpm, a link to the database": {
        "etc/os-release": b'ID="almalinux"\nVERSION_ID="9.4"\n',
        "usr/lib/sysimage/rpm/rpmdb.sqlite": FORMS["sqlite"][1](*HEADERS),
        "var/lib/": None,
        "var/lib/rpm": Link("../../usr/lib/sysimage/rpm"),
    },
    "lock files alone": {
        "srv/app/package-lock.json": b'{"packages": {"node_modules/left-pad": {"version": "1.3.0"}}}',
        "srv/app/requirements-dev.txt": b"idna==3.4\nloose>=1\n",
        "srv/app/node_modules/.package-lock.json": b'{"packages": {"node_modules/x": {"version": "1"}}}',
        "srv/go/go.sum": b"example.org/x v1.2.3 h1:aa=\n",
    },
    "a lock file beside what is installed": {
        **INSTALLED["npm"][0],
        "app/package-lock.json": b'{"packages": {"node_modules/left-pad": {"version": "9.9.9"}}}',
    },
    "jars": {
        "a/stored.jar": stored("x.jar", jar(("a", "x", "1"))),
        "a/nameless.jar": jar(),
        "a/broken.jar": b"PK\3\4 and no more",
        "a/inner-broken.war": jar(("a", "y", "1"), inside={"lib/z.jar": b"nothing"}),
        "a/odd.jar": jar(("a", "${project}", "1"), ("a", "", "1")),
        "a/deep.jar": stored("1.jar", stored("2.jar", stored("3.jar", stored("4.jar", stored("5.jar", jar(("a", "b", "1"))))))),
    },
    "programs": {
        "bin/old-go": go_program(flags=0),
        "bin/odd-go": go_program(version="devel x"),
        "bin/cut-go": Program(b"\x7fELF".ljust(4096, b"\0") + b"\xff Go buildinf:\x08\x02" + b"\0" * 16 + b"\x7fx"),
        "bin/unaligned": Program(b"\x7fELF" + b"\xff Go buildinf:" + b"\0" * 100),
        "bin/c": Program(b"\x7fELF" + b"\0" * 3000),
        "bin/short": Program(b"\x7fELF\x02\x01"),
        "bin/script": Program(b"#!/bin/sh\n"),
        f"{SITE}/wheel/tool": Program(b"\x7fELF" + b"\0" * 3000),
        "lib/x.so.1": Program(b"\x7fELF" + b"\0" * 3000),
    },
    "names": {
        "srv/a b%20/c-1.dist-info/METADATA": b"Name: c\nVersion: 1\n",
        "srv/\u00e4/d-1.dist-info/METADATA": b"Name: d\nVersion: 1\n",
        "srv/bad-1.dist-info/METADATA": b"Version: 1\n",
        "srv/node_modules/x/package.json": b'{"name": "x", "version": ',
    },
}  # fmt: skip


@needs_root
@pytest.mark.parametrize("tree", TREES)
def test_a_running_image_has_what_the_same_files_have(tree: str, tmp_path: Path) -> None:
    one = one_of(walk_of(tmp_path, TREES[tree]))
    assert (one.problem, one.system) == ("", "none")
    assert told(one.inventory) == told(read_path(tmp_path / "root"))


@needs_root
def test_an_image_of_data_alone_names_no_package(tmp_path: Path) -> None:
    one = one_of(walk_of(tmp_path, {"data/file": b"x"}))
    assert (one.problem, one.files, told(one.inventory)) == ("", 2, (set(), Counter()))


@needs_root
def test_what_the_system_owns_is_left_to_it(tmp_path: Path) -> None:
    mine = {f"{SITE}/idna-3.4.dist-info/METADATA": b"Name: idna\nVersion: 3.4\n"}
    theirs = {
        "usr/lib/python3/dist-packages/six-1.dist-info/METADATA": b"Name: six\nVersion: 1\n",
        "usr/bin/go-tool": go_program(modules="path\tx\n"),
    }
    lists = "/.\n" + "".join(f"/{path}\n" for path in theirs)
    # /bin and /lib may be links into /usr, and dpkg knows either name.
    owners: dict[str, Layer] = {
        "dpkg": {**DEBIAN, "var/lib/dpkg/info/six.list": lists.replace("/usr/", "/").encode()},
        "apk": {
            "lib/apk/db/installed": b"P:six\nV:1\nF:usr/lib/python3/dist-packages/six-1.dist-info\nR:METADATA\nF:usr/bin\nR:go-tool\n\n"
        },
    }
    for system, layer in owners.items():
        one = one_of(walk_of(tmp_path / system, {**layer, **mine, **theirs}))
        assert [c.name for c in one.inventory.components] == ["idna"], system
        assert (one.system, one.inventory.covered, one.inventory.notices) == (system, 1, []), system
    without = one_of(walk_of(tmp_path / "unlisted", {**DEBIAN, **mine, **theirs}))
    assert {c.name for c in without.inventory.components} == {"idna", "six", "stdlib"}


@needs_root
def test_a_hostile_image_leads_the_walk_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Name: stolen\nVersion: 1\n")
    good = {"ok-1.dist-info/METADATA": b"Name: ok\nVersion: 1\n"}
    root = unpack(
        tmp_path / "root",
        {
            **good,
            "a-1.dist-info/": None,
            "a-1.dist-info/METADATA": Link(str(secret)),
            "b-1.dist-info": Link(str(tmp_path)),
            "loop/": None,
            "loop/again": Link("../loop"),
            "self": Link("self"),
            "bomb.jar": jar(inside={f"{n}.jar": b"\0" * (200 << 20) for n in range(3)}),
            "c\nimage 0 podman x\n-1.dist-info/METADATA": b"Name: c\nVersion: 1\n\nend 0\n\n",
        },
    )
    os.mkfifo(root / "a-1.dist-info/PKG-INFO")
    with open(root / "huge.deps.json", "wb") as file:
        file.truncate(65 << 20)
    with container(root) as pid:
        one = one_of(walk(tmp_path, {"a" * 64: pid}))
    assert {c.name for c in one.inventory.components} == {"ok", "c"}
    why = {n.subject: n.why for n in one.inventory.notices}
    assert "swells beyond 512 MB" in why["bomb.jar"]
    assert "larger than 64 MB" in why["huge.deps.json"]
    assert one.problem == ""


@needs_root
def test_each_image_is_told_once_and_one_that_ended_is_not_known(tmp_path: Path) -> None:
    files: Layer = {"ok-1.dist-info/METADATA": b"Name: ok\nVersion: 1\n"}
    with container(unpack(tmp_path / "root", files)) as pid:
        answer = walk(tmp_path, {"a" * 64: pid, "b" * 64: 0, "c" * 64: 2**22 + 5, "d" * 64: pid})
        # The room is for all images together: what does not fit is said to be missing.
        narrow = walk(tmp_path, {"a" * 64: pid}, SCRIPT.replace("left=134217728", "left=10"))
        twice = [walk(tmp_path, {"a" * 64: pid}).stdout for _ in range(2)]
    contents = ImageContents.parse(answer)
    assert [(one.image[0], bool(one.problem)) for one in contents.images] == [
        ("a", False), ("b", True), ("c", True), ("d", False),
    ]  # fmt: skip
    assert contents.of("docker", "a" * 64) is None
    assert "one look may tell no more" in str(one_of(narrow).inventory.notices)
    # The same images give the same bytes, but for the moment in the first line.
    assert twice[0].partition(b"\n")[2] == twice[1].partition(b"\n")[2]
    assert walk(tmp_path, {"a" * 64: 1}, without="perl").exit == 127


@needs_root
def test_no_cut_passes_for_an_answer_and_both_forms_are_equal(tmp_path: Path) -> None:
    answer = walk_of(tmp_path, EVERYTHING)
    whole = ImageContents.parse(answer)
    assert ImageContents.parse(Answer(answer.question, 0, whole.told())) == whole
    for data in (answer.stdout, whole.told()):
        for cut in (*range(0, len(data), 13), len(data) - 1):
            with pytest.raises(NotUnderstood):
                ImageContents.parse(Answer(answer.question, 0, data[:cut]))
        with pytest.raises(NotUnderstood):
            ImageContents.parse(Answer(answer.question, 0, data + b"x"))


@needs_root
def test_a_host_without_containers_says_so(tmp_path: Path) -> None:
    assert ImageContents.parse(walk(tmp_path, {})).images == ()
