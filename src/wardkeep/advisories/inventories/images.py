"""Container images as files: what `docker save` and `podman save` write, and OCI image layouts (archive or folder).

An archive is read where it lies: its members are found by name, its layers streamed one after the other. Every layer is held
against the digest that the image's configuration gives for it, so that one that is cut or changed is refused.
"""

from __future__ import annotations

import gzip
import platform
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from wardkeep.advisories.inventories.layers import FREE, SWELL, Budget, Member, apply_layer, inside
from wardkeep.advisories.inventories.tree import HOPS, Tree
from wardkeep.advisories.zstd import MAGIC, unpacked_by_zstd
from wardkeep.core.errors import BadInput
from wardkeep.core.foreign_json import read_json

DOCUMENT = 16 << 20
DIGEST = re.compile(r"[a-z0-9]+:[0-9a-f]{32,128}")
DEPTH, MANIFESTS, LAYERS = 4, 256, 1024
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
NAMES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")


class Store(Protocol):
    """Where an image's files lie."""

    where: str

    def open(self, name: str) -> tuple[IO[bytes], int]: ...
    def has(self, name: str) -> bool: ...


class TarStore:
    """An archive, also one packed by gzip: its members by name, through links inside it."""

    def __init__(self, archive: tarfile.TarFile, where: str, most: int) -> None:
        self.where, self._archive = where, archive
        self._members: dict[str, tarfile.TarInfo] = {}
        for count, member in enumerate(archive):
            most -= member.size
            if most < 0:
                raise BadInput("swells too far when it is unpacked", where=where, todo="It may be a bomb.")
            if count > 100_000:
                raise BadInput("holds too many files to be an image", where=where)
            self._members[inside(member.name)] = member

    def has(self, name: str) -> bool:
        return name in self._members

    def open(self, name: str) -> tuple[IO[bytes], int]:
        member = self._members.get(name)
        for _ in range(HOPS):
            if member is None or not (member.issym() or member.islnk()):
                break
            target = member.linkname
            if member.issym():
                folder = member.name.rpartition("/")[0]
                target = _joined(folder, target)
            member = self._members.get(target.removeprefix("./"))
        file = self._archive.extractfile(member) if member is not None and member.isreg() else None
        if file is None or member is None:
            raise BadInput(
                f"the file {name[:100]} is missing in it", where=self.where, todo="Save the image again."
            )
        return file, member.size


class FolderStore:
    """An OCI layout as a folder. Links are not followed."""

    def __init__(self, folder: Path) -> None:
        self.where, self._folder = str(folder), folder

    def has(self, name: str) -> bool:
        path = self._folder / inside(name)
        return path.is_file() and not path.is_symlink()

    def open(self, name: str) -> tuple[IO[bytes], int]:
        if not self.has(name):
            raise BadInput(f"the file {name[:100]} is missing in it", where=self.where)
        path = self._folder / inside(name)
        return path.open("rb"), path.stat().st_size


@dataclass(frozen=True, slots=True)
class Image:
    """One image of an archive: its names, its platform, the files of its layers from the lowest, and their digests unpacked."""

    names: tuple[str, ...]
    platform: str
    digest: str
    layers: tuple[str, ...]
    diff_ids: tuple[str, ...]
    config: str = ""  # the digest of its configuration, by which engines identify it

    @property
    def digests(self) -> tuple[str, ...]:
        """By which it is known: its manifest's, where that is in the archive as it was published, and its configuration's."""
        return tuple(dict.fromkeys(one for one in (self.digest, self.config) if DIGEST.fullmatch(one)))

    @property
    def shown(self) -> str:
        return self.names[0] if self.names else self.digest[:19]


@contextmanager
def open_store(path: Path) -> Iterator[Store | None]:
    """The store of an image file or layout folder; None for anything else. Raises BadInput for one that is damaged."""
    if path.is_dir():
        yield FolderStore(path) if (path / "oci-layout").is_file() else None
        return
    try:
        with ExitStack() as open_now:
            file: IO[bytes] = open_now.enter_context(path.open("rb"))
            head = file.read(4)
            file.seek(0)
            is_gzip, size = head[:2] == b"\x1f\x8b", path.stat().st_size
            # What lies there unpacked cannot swell; where it ends too early, tarfile says so.
            most = max(size * SWELL, FREE) if is_gzip or head == MAGIC else 1 << 62
            if head == MAGIC:
                file = open_now.enter_context(_lying_unpacked(file, str(path), most))
            archive = open_now.enter_context(
                tarfile.open(fileobj=file, mode="r:gz" if is_gzip else "r:", tarinfo=Member)
            )
            store = TarStore(archive, str(path), most)
            yield store if store.has("manifest.json") or store.has("index.json") else None
    except BadInput as e:
        raise BadInput(e.what, where=e.where or str(path), todo=e.todo) from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise BadInput(
            f"the archive is damaged or cut: {e}", where=str(path), todo="Save the image again."
        ) from None
    except OSError as e:
        raise BadInput(f"cannot be read: {e.strerror or e}", where=str(path)) from None


@contextmanager
def _lying_unpacked(file: IO[bytes], where: str, most: int) -> Iterator[IO[bytes]]:
    """What zstd packed, in a file that has no name and is gone when it is closed: members are found by going back in it."""
    with tempfile.TemporaryFile() as made:
        with unpacked_by_zstd(file, where) as stream:
            while block := stream.read(1 << 20):
                most -= len(block)
                if most < 0:
                    raise BadInput("swells too far when it is unpacked", todo="It may be a bomb.")
                made.write(block)
        made.seek(0)
        yield made


def tree_of_archive(path: Path) -> Tree:
    """A root file system in an archive, as `docker export` or mmdebstrap write it; packed by gzip or zstd, too."""
    tree = Tree()
    with path.open("rb") as file:
        apply_layer(tree, file, str(path), path.stat().st_size, Budget(), to_its_end=True)
    return tree


def images(store: Store) -> list[Image]:
    """Every image of the store; attestations and the like are not images."""
    try:
        if store.has("index.json"):
            made = list(_of_index(store, _json(store, "index.json"), (), 0, [MANIFESTS]))
            if made or not store.has("manifest.json"):
                return made
        return [_of_docker(store, one) for one in _json(store, "manifest.json")]
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        raise BadInput("its manifest is not built as an image's is", where=store.where) from None


def choose(made: list[Image], wanted: str, where: str) -> Image:
    """The image of that name, digest or platform; without one the only one, or the only one for this machine."""
    if not made:
        raise BadInput("holds no image", where=where)
    fitting = [one for one in made if not wanted or wanted in (*one.names, one.digest, one.platform)]
    if len(fitting) > 1:
        own = f"linux/{MACHINES.get(platform.machine(), platform.machine())}"
        fitting = [one for one in fitting if one.platform == own] or fitting
    # One image under several names.
    if fitting and len({(one.platform, one.config or one.digest, one.diff_ids) for one in fitting}) == 1:
        return fitting[0]
    there = ", ".join(f"{one.shown} ({one.platform})" for one in made[:20])
    if not fitting:
        raise BadInput(f"holds no image {wanted!r}", where=where, todo=f"There are: {there}.")
    raise BadInput(
        f"holds {len(fitting)} images that fit", where=where, todo=f"Say which by --image: {there}."
    )


def tree_of_image(store: Store, image: Image) -> Tree:
    """The file system of an image, as far as it concerns an inventory. Raises BadInput for a layer that is missing or damaged."""
    tree, budget = Tree(), Budget()
    for number, (layer, expected) in enumerate(zip(image.layers, image.diff_ids, strict=True), start=1):
        file, size = store.open(layer)
        where = f"{store.where}!layer {number} of {len(image.layers)}"
        with file:
            digest = apply_layer(tree, file, where, size, budget)
        if digest != expected:
            raise BadInput(
                "the layer is cut or changed: it has another digest than the image says", where=where
            )
    return tree


def _of_docker(store: Store, entry: dict[str, Any]) -> Image:
    config = _json(store, str(entry["Config"]))
    layers = tuple(inside(str(one)) for one in entry["Layers"])
    place = str(entry["Config"])
    own = re.search(r"[0-9a-f]{64}", place)  # `blobs/sha256/…` or `….json`
    names = tuple(map(str, entry.get("RepoTags") or ()))
    return _image(config, names, place, layers, store, f"sha256:{own[0]}" if own else "")


def _of_index(
    store: Store, index: dict[str, Any], names: tuple[str, ...], depth: int, left: list[int]
) -> Iterator[Image]:
    for one in index["manifests"]:
        left[0] -= 1
        if depth > DEPTH or left[0] < 0:
            raise BadInput("its indexes are nested without an end", where=store.where)
        notes = one.get("annotations") or {}
        if notes.get("vnd.docker.reference.type"):
            continue
        named = names or tuple(dict.fromkeys(str(notes[key]) for key in reversed(NAMES) if key in notes))
        body = _json(store, _blob(one["digest"]))
        if "manifests" in body:
            yield from _of_index(store, body, named, depth + 1, left)
            continue
        kind = str(body.get("config", {}).get("mediaType", ""))
        if kind not in (
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.docker.container.image.v1+json",
        ):
            continue
        config = _json(store, _blob(body["config"]["digest"]))
        layers = tuple(_blob(layer["digest"]) for layer in body["layers"])
        yield _image(config, named, str(one["digest"]), layers, store, str(body["config"]["digest"]))


def _image(
    config: dict[str, Any],
    names: tuple[str, ...],
    digest: str,
    layers: tuple[str, ...],
    store: Store,
    own: str,
) -> Image:
    ids = tuple(map(str, config["rootfs"]["diff_ids"]))
    if len(ids) != len(layers) or len(ids) > LAYERS:
        raise BadInput(
            f"its manifest names {len(layers)} layers, its configuration {len(ids)}", where=store.where
        )
    return Image(
        names, f"{config.get('os', '?')}/{config.get('architecture', '?')}", digest, layers, ids, own
    )


def _blob(digest: object) -> str:
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ValueError("no digest")
    return f"blobs/{digest.replace(':', '/')}"


def _joined(folder: str, target: str) -> str:
    done = [part for part in folder.split("/") if part not in ("", ".")]
    for part in target.split("/"):
        if part == "..":
            done[-1:] = []
        elif part not in ("", "."):
            done.append(part)
    return "/".join(done)


def _json(store: Store, name: str) -> Any:
    file, size = store.open(name)
    with file:
        if size > DOCUMENT:
            raise BadInput(f"{name[:100]} is larger than {DOCUMENT >> 20} MB", where=store.where)
        try:
            return read_json(file.read())
        except ValueError:
            raise BadInput(f"{name[:100]} is no JSON", where=store.where) from None
