"""Container images made by hand, in the forms that `docker save`, `podman save` and OCI layouts have."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.advisories.small_feeds import OS_RELEASE, STATUS


class Link(str):
    """A symbolic link's target."""

    __slots__ = ()


class Program(bytes):
    """A file that may be executed."""

    __slots__ = ()


Layer = Mapping[str, bytes | str | None]  # content, a Link, or None for a folder
DEBIAN: Layer = {
    "etc/": None,
    "etc/os-release": Link("../usr/lib/os-release"),
    "usr/lib/os-release": OS_RELEASE.encode(),
    "var/lib/dpkg/status": STATUS.encode(),
}


def tar(files: Layer) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.rstrip("/"))
            if isinstance(content, Link):
                member.type, member.linkname = tarfile.SYMTYPE, str(content)
                archive.addfile(member)
            elif content is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
            else:
                data = content.encode() if isinstance(content, str) else content
                member.size, member.mode = len(data), 0o755 if isinstance(data, Program) else 0o644
                archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def config_of(layers: Sequence[bytes], architecture: str = "amd64") -> bytes:
    ids = [f"sha256:{digest(layer)}" for layer in layers]
    return json.dumps(
        {"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": ids}}
    ).encode()


def docker_save(path: Path, *layers: Layer | bytes, tag: str = "app:1") -> Path:
    """As `docker save` has written it for ten years. Layers as bytes are put in as they are."""
    packed = [layer if isinstance(layer, bytes) else tar(layer) for layer in layers]
    config = config_of(packed)
    names = [f"{digest(layer)}/layer.tar" for layer in packed]
    manifest = [{"Config": f"{digest(config)}.json", "RepoTags": [tag], "Layers": names}]
    files: dict[str, bytes | str | None] = {
        f"{digest(config)}.json": config,
        **dict(zip(names, packed, strict=True)),
        "manifest.json": json.dumps(manifest),
    }
    path.write_bytes(tar(files))
    return path


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-cq"], input=data, capture_output=True, check=True).stdout


def oci_files(
    *layers: Layer,
    pack: Callable[[bytes], bytes] = gzip.compress,
    architectures: Sequence[str] = ("amd64",),
    tag: str = "app:1",
) -> dict[str, bytes]:
    """The files of an OCI layout; with several architectures an index of them under one tag."""
    blobs: dict[str, bytes] = {}

    def blob(data: bytes, kind: str) -> dict[str, object]:
        blobs[f"blobs/sha256/{digest(data)}"] = data
        return {"mediaType": kind, "digest": f"sha256:{digest(data)}", "size": len(data)}

    manifests = []
    for architecture in architectures:
        plain = [tar(layer) for layer in layers]
        config = blob(config_of(plain, architecture), "application/vnd.oci.image.config.v1+json")
        described = [blob(pack(one), "application/vnd.oci.image.layer.v1.tar") for one in plain]
        manifest = {"schemaVersion": 2, "config": config, "layers": described}
        manifests.append(
            blob(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
            | {"platform": {"os": "linux", "architecture": architecture}}
        )
    if len(manifests) > 1:
        inner = {"schemaVersion": 2, "manifests": manifests}
        manifests = [blob(json.dumps(inner).encode(), "application/vnd.oci.image.index.v1+json")]
    top = {"manifests": [manifests[0] | {"annotations": {"org.opencontainers.image.ref.name": tag}}]}
    return {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps(top).encode(),
        **blobs,
    }


def oci_archive(path: Path, files: Mapping[str, bytes]) -> Path:
    path.write_bytes(tar(dict(files)))
    return path
