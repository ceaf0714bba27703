"""Container images: every form, layers one above the other, and whatever a broken or hostile archive may hold."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from tests.advisories.small_feeds import OS_RELEASE, STATUS
from tests.advisories.small_images import DEBIAN, Layer, Link, docker_save, oci_archive, oci_files, tar, zstd

from wardkeep.advisories.inventories import read_path
from wardkeep.advisories.inventories.images import images, open_store
from wardkeep.core.errors import BadInput

NAMES = {"openssl", "zlib", "raspi-firmware"}
NEWER = STATUS.replace("3.0.14-1~deb12u2", "3.0.15-1~deb12u1").encode()


def sources(path: Path, image: str = "") -> dict[str, str]:
    return {one.name: one.version for one in read_path(path, image).components}


def test_what_docker_saves(tmp_path: Path) -> None:
    made = read_path(docker_save(tmp_path / "i.tar", DEBIAN))
    assert {one.name for one in made.components} == NAMES
    assert made.release == ("debian", "12")
    assert made.name.endswith("i.tar (app:1)")
    assert [one.foreign for one in made.components if one.foreign] == ["a Raspberry Pi rebuild"]


def test_an_archive_that_is_packed_itself(tmp_path: Path) -> None:
    plain = docker_save(tmp_path / "i.tar", DEBIAN)
    (tmp_path / "i.tar.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert sources(tmp_path / "i.tar.gz").keys() == NAMES
    if shutil.which("zstd"):
        (tmp_path / "i.tar.zst").write_bytes(zstd(plain.read_bytes()))
        assert sources(tmp_path / "i.tar.zst").keys() == NAMES
        (tmp_path / "cut.tar.zst").write_bytes(zstd(plain.read_bytes())[:-20])
        refused(tmp_path / "cut.tar.zst", "damaged or cut")
        (tmp_path / "bomb.tar.zst").write_bytes(zstd(tar({"manifest.json": b"[]"}) + bytes(600 << 20)))
        refused(tmp_path / "bomb.tar.zst", "swells too far")


def test_the_archive_of_a_root_file_system(tmp_path: Path) -> None:
    path, whole = tmp_path / "root.tar", tar(DEBIAN)
    for packed in (whole, gzip.compress(whole), *([zstd(whole)] if shutil.which("zstd") else [])):
        path.write_bytes(packed)
        made = read_path(path)
        assert ({one.name for one in made.components}, made.release) == (NAMES, ("debian", "12"))
    # Cut between two files it would be a smaller system, with nothing else to show it.
    with tarfile.open(fileobj=BytesIO(whole)) as archive:
        last = archive.getmembers()[-1]
    path.write_bytes(whole[: last.offset])
    refused(path, "it has no end")
    path.write_bytes(whole)
    with pytest.raises(BadInput, match="--image says nothing"):
        read_path(path, "app:1")


def test_oci_layouts(tmp_path: Path) -> None:
    files = oci_files(DEBIAN)
    assert sources(oci_archive(tmp_path / "o.tar", files)).keys() == NAMES
    for name, data in files.items():
        (tmp_path / "layout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "layout" / name).write_bytes(data)
    assert sources(tmp_path / "layout").keys() == NAMES
    plain = oci_files(DEBIAN, pack=lambda data: data)
    assert sources(oci_archive(tmp_path / "p.tar", plain)).keys() == NAMES


@pytest.mark.skipif(not shutil.which("zstd"), reason="the program zstd, which Wardkeep calls, is not here")
def test_layers_packed_by_zstd(tmp_path: Path) -> None:
    assert sources(oci_archive(tmp_path / "z.tar", oci_files(DEBIAN, pack=zstd))).keys() == NAMES
    cut = oci_files(DEBIAN, pack=lambda data: zstd(data)[:-20])
    with pytest.raises(BadInput, match="damaged or cut"):
        read_path(oci_archive(tmp_path / "c.tar", cut))


def test_one_image_under_two_names_is_one(tmp_path: Path) -> None:
    files = oci_files(DEBIAN)
    (named,) = json.loads(files["index.json"])["manifests"]
    again = named | {"annotations": {"org.opencontainers.image.ref.name": "app:latest"}}
    files["index.json"] = json.dumps({"manifests": [named, again]}).encode()
    assert sources(oci_archive(tmp_path / "two.tar", files)).keys() == NAMES


def test_several_platforms_and_several_images(tmp_path: Path) -> None:
    path = oci_archive(tmp_path / "m.tar", oci_files(DEBIAN, architectures=("riscv64", "s390x")))
    with open_store(path) as store:
        assert store is not None
        assert {one.platform for one in images(store)} == {"linux/riscv64", "linux/s390x"}
    with pytest.raises(
        BadInput, match=r"holds 2 images that fit\. Say which by --image: app:1 \(linux/riscv64\)"
    ):
        read_path(path)
    assert sources(path, "linux/s390x").keys() == NAMES
    with pytest.raises(BadInput, match="holds no image 'b:2'"):
        read_path(path, "b:2")


LAYERS: dict[str, tuple[list[Layer], dict[str, str] | None]] = {
    "a later layer counts": (
        [DEBIAN, {"var/lib/dpkg/status": NEWER}],
        {"openssl": "3.0.15-1~deb12u1", "zlib": "1:1.2.13.dfsg-1", "raspi-firmware": "1:1.20220801+ds-1+rpt1"},
    ),
    "a whiteout of a file": ([DEBIAN, {"var/lib/dpkg/.wh.status": b""}], {}),
    "a whiteout of a folder above": ([DEBIAN, {"var/.wh.lib": b""}], {}),
    "an opaque folder": ([DEBIAN, {"var/lib/dpkg/.wh..wh..opq": b""}], {}),
    "an opaque folder keeps what its own layer adds, in any order": (
        [DEBIAN, {"srv/go.sum": b"a.example/b v1.0.0 h1:x=\n", "srv/.wh..wh..opq": b"", "var/.wh..wh..opq": b""}],
        {"a.example/b": "1.0.0"},
    ),
    "a whiteout is of lower layers, not of its own": (
        [DEBIAN, {"var/lib/dpkg/.wh.status": b"", "var/lib/dpkg/status": NEWER}],
        {"openssl": "3.0.15-1~deb12u1", "zlib": "1:1.2.13.dfsg-1", "raspi-firmware": "1:1.20220801+ds-1+rpt1"},
    ),
    "a file in the place of a folder": ([DEBIAN, {"var": b"x"}], {}),
    "a link in the place of a folder": ([DEBIAN, {"var": Link("/srv")}], {}),
    "a folder in the place of a link": (
        [{"srv/lib/dpkg/status": STATUS.encode(), "var": Link("srv")}, {"var/": None}],
        {},
    ),
    "a link to a folder leads on": (
        [{"etc/os-release": OS_RELEASE.encode(), "srv/go.sum": b"a.example/b v1.0.0 h1:x=\n", "var": Link("/srv")}],
        {"a.example/b": "1.0.0"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LAYERS)
def test_layers(what: str, tmp_path: Path) -> None:
    layers, expected = LAYERS[what]
    assert sources(docker_save(tmp_path / "i.tar", *layers)) == expected


def test_a_release_without_a_package_database_is_unknown(tmp_path: Path) -> None:
    made = read_path(docker_save(tmp_path / "i.tar", *LAYERS["a whiteout of a file"][0]))
    assert [(one.kind, one.is_unknown) for one in made.notices] == [("not_readable", True)]


def test_links_that_go_round_or_leave_the_image(tmp_path: Path) -> None:
    """They neither hang nor show a file of this machine."""
    round_ = {
        "etc/os-release": Link("a"),
        "etc/a": Link("os-release"),
        "var/lib/dpkg/status": STATUS.encode(),
    }
    assert read_path(docker_save(tmp_path / "i.tar", round_)).release == ("", "")
    (tmp_path / "outside").write_text(OS_RELEASE)
    for target in (str(tmp_path / "outside"), f"../../../../../../..{tmp_path}/outside", "/etc/os-release"):
        layer = {"etc/os-release": Link(target), "var/lib/dpkg/status": STATUS.encode()}
        made = read_path(docker_save(tmp_path / "i.tar", layer))
        assert made.release == ("", "")
        assert any(one.kind == "no_feed" and one.is_unknown for one in made.notices)
        root = tmp_path / "root"
        (root / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
        (root / "var/lib/dpkg/status").write_text(STATUS)
        (root / "etc").mkdir(exist_ok=True)
        (root / "etc/os-release").unlink(missing_ok=True)
        (root / "etc/os-release").symlink_to(target)
        assert read_path(root).release == ("", "")


def refused(path: Path, words: str) -> None:
    with pytest.raises(BadInput, match=words) as told:
        read_path(path)
    assert "\n" not in told.value.line()
    assert str(path) in told.value.line()


def test_paths_that_leave_the_layer(tmp_path: Path) -> None:
    for name in ("../../etc/cron.d/x", "/etc/../../x", "a/../b"):
        refused(docker_save(tmp_path / "i.tar", {name: b"x"}), "names a path outside of itself")


def test_cut_and_changed_archives(tmp_path: Path) -> None:
    whole = docker_save(tmp_path / "whole.tar", DEBIAN).read_bytes()
    path = tmp_path / "i.tar"
    for cut in (700, 3000, len(whole) // 2, len(whole) - 12000):
        path.write_bytes(whole[:cut])
        refused(path, "damaged or cut|missing in it|has no package database")
    # One byte of the package database changed: no checksum of tar sees it, the layer's digest does.
    path.write_bytes(whole.replace(b"3.0.14-1~deb12u2+b1", b"9.9.14-1~deb12u2+b1"))
    refused(path, "another digest than the image says")
    files = oci_files(DEBIAN, pack=lambda data: gzip.compress(data)[:-30])
    refused(oci_archive(path, files), "damaged or cut")
    files = oci_files(DEBIAN)
    layer = max((name for name in files if name.startswith("blobs")), key=lambda name: len(files[name]))
    refused(oci_archive(path, {k: v for k, v in files.items() if k != layer}), "is missing in it")


def test_a_layer_cut_between_two_files_is_no_smaller_image(tmp_path: Path) -> None:
    layer = tar(DEBIAN)
    path = docker_save(tmp_path / "i.tar", DEBIAN)
    cut: dict[str, bytes | str | None] = {}
    with tarfile.open(path) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            cut[member.name] = layer[:1024] if member.name.endswith("layer.tar") else file.read()
    path.write_bytes(tar(cut))
    refused(path, "another digest than the image says")


def test_bombs(tmp_path: Path) -> None:
    """A layer and an archive that swell a thousandfold end after half a GiB, without holding it."""
    zeros = b"\0" * (1 << 20)
    member = tarfile.TarInfo("var/big")
    member.size = 600 << 20
    packed = BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(member.tobuf())
        for _ in range(600):
            file.write(zeros)
    bomb = packed.getvalue()
    files = oci_files(DEBIAN, pack=lambda _: bomb)
    refused(oci_archive(tmp_path / "i.tar", files), "swells too far")
    (tmp_path / "j.tar.gz").write_bytes(bomb)
    refused(tmp_path / "j.tar.gz", "swells too far")


def test_a_header_without_an_end(tmp_path: Path) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 5 << 30
    refused(docker_save(tmp_path / "i.tar", member.tobuf() + b"\0" * 4096), "a member's header says")
    (tmp_path / "j.tar").write_bytes(member.tobuf() + b"\0" * 4096)
    refused(tmp_path / "j.tar", "a member's header says")


def test_manifests_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "i.tar"
    for manifest, words in (
        (b"{", "is no JSON"),
        (b"[]", "holds no image"),
        (b"[1]", "not built as an image's is"),
        (b'[{"Config": "../../etc/passwd", "Layers": []}]', "is missing in it"),
        (b'{"a": 1}', "not built as an image's is"),
    ):
        path.write_bytes(tar({"manifest.json": manifest}))
        refused(path, words)
    for index, words in (
        (b'{"manifests": [{"digest": "sha256:../../x"}]}', "not built as an image's is"),
        (b'{"manifests": []}', "holds no image"),
    ):
        path.write_bytes(tar({"index.json": index}))
        refused(path, words)
    path.write_bytes(tar({"readme": b"x"}))
    refused(path, "has no package database")


def test_an_index_that_holds_itself(tmp_path: Path) -> None:
    """A digest cannot name itself honestly; a forged file can, and must not hang."""
    name = "a" * 64
    loop = json.dumps({"manifests": [{"digest": f"sha256:{name}"}] * 3}).encode()
    path = oci_archive(tmp_path / "i.tar", {"index.json": loop, f"blobs/sha256/{name}": loop})
    refused(path, "nested without an end")
