"""What is installed in the images that run on a host beside what dpkg and apk say: language packages, RPM packages, programs, jars.

A walk over the root file system of one running container of each image (see `image_contents_script`), once a day. It answers a line
`now SECONDS` and, packed by gzip, the records that `wardkeep.advisories.inventories.walked` reads. What was read from them stands in the
snapshots as a JSON object instead, which is a hundredth of it: `told` writes it, and `parse` reads either form.

Not seen: images that do not run, rootless containers of other users, volumes, and what a package has without any list (a library copied in by hand).
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from wardkeep.advisories.components import Component, Inventory, Notice
from wardkeep.advisories.inventories.walked import Walked, read_walks
from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.image_contents_script import ROOM, SCRIPT, SECONDS

DAY = 86400
MOST = 2 * ROOM  # bytes, unpacked: what is told and the lines that say what it is
CUT = f"it was not read to its end: its container ended meanwhile, or it took longer than {SECONDS} s"


@dataclass(frozen=True, slots=True)
class ImageContent:
    """One image. `system` is the package database that `container_packages` tells of (dpkg, apk), or none; then the packages of an RPM
    database are among the components. `problem` says why nothing is known of it, or is ""."""

    engine: str
    image: str
    problem: str
    system: str
    files: int
    inventory: Inventory


@dataclass(frozen=True, slots=True)
class ImageContents:
    """`at` is the host's clock when the walk began."""

    # Much may run on one host, and a disk may be slow: a long look, and not in every cycle.
    ask: ClassVar[Question] = Question(
        "image_contents", SCRIPT, tool="perl or gzip", timeout=1800, limit=64 << 20, keep=DAY
    )
    at: datetime
    images: tuple[ImageContent, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        data = answer.stdout
        if data[:1] == b"{":
            try:
                said = json.loads(data)
                return cls(datetime.fromisoformat(said["at"]), tuple(map(_image, said["images"])))
            except (ValueError, TypeError, KeyError, AttributeError):
                raise NotUnderstood("the kept form of the answer is damaged", where=answer.question) from None
        head, _, packed = data.partition(b"\n")
        now = head.removeprefix(b"now ")
        if now == head or not now.isdigit() or len(now) > 11:
            raise NotUnderstood("the walk does not say when it was made", where=answer.question)
        images = tuple(map(_of_walk, read_walks(_unpacked(packed))))
        return cls(datetime.fromtimestamp(int(now), UTC), images)

    def told(self) -> bytes:
        """The kept form."""
        images = [
            {
                "engine": one.engine,
                "image": one.image,
                "problem": one.problem,
                "system": one.system,
                "files": one.files,
                "release": one.inventory.release,
                "covered": one.inventory.covered,
                "components": [
                    [c.ecosystem, c.name, c.version, c.installed, c.binaries, c.foreign, c.place]
                    for c in one.inventory.components
                ],
                "notices": [[n.kind, n.subject, n.why, n.is_unknown] for n in one.inventory.notices],
            }
            for one in self.images
        ]
        return json.dumps(
            {"at": self.at.isoformat(), "images": images}, sort_keys=True, separators=(",", ":")
        ).encode()

    def of(self, engine: str, image: str) -> ImageContent | None:
        """What was seen of an image; None where none ran when the walk was made."""
        return next((one for one in self.images if (one.engine, one.image) == (engine, image)), None)


def is_raw(answer: Answer) -> bool:
    return answer.whole and answer.exit == 0 and answer.stdout[:4] == b"now "


def _unpacked(packed: bytes) -> bytes:
    try:
        opening = zlib.decompressobj(31)
        data = opening.decompress(packed, MOST)
    except zlib.error:
        raise NotUnderstood("what was seen is not packed by gzip, or damaged") from None
    if not opening.eof or opening.unused_data:
        raise NotUnderstood("what was seen is cut")
    return data


def _of_walk(one: Walked) -> ImageContent:
    made = one.inventory(one.image.removeprefix("sha256:")[:12])
    return ImageContent(one.engine, one.image, "" if one.is_whole else CUT, one.system, one.files, made)


def _image(said: dict[str, Any]) -> ImageContent:
    components = [
        Component(ecosystem, name, version, installed, tuple(binaries), foreign, place)
        for ecosystem, name, version, installed, binaries, foreign, place in said["components"]
    ]
    notices = [Notice(kind, subject, why, is_unknown) for kind, subject, why, is_unknown in said["notices"]]
    name, version = said["release"]
    made = Inventory(
        said["image"].removeprefix("sha256:")[:12], components, notices, (name, version), said["covered"]
    )
    return ImageContent(said["engine"], said["image"], said["problem"], said["system"], said["files"], made)
