"""Which published flaws concern the images that run on a host. The host is not asked: the engine answers, from `container_packages`.

The script ends with status 3 everywhere, so that an answer nobody filled in is never an answer. The engine's answer is one JSON object:
`{"images": [{"image", "tag", "container", "ended", "problem", "known"}]}`; `ended` says that nobody mends its release any more, or is ""; `known` is shaped as the answer of `known_flaws`, and null where `problem`
says why nothing can be said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.known_flaws import KnownFlaws


@dataclass(frozen=True, slots=True)
class ImageFlaws:
    """One image. `known` is None where `problem` says why."""

    image: str
    tag: str
    container: str
    problem: str
    known: KnownFlaws | None
    ended: str = ""


@dataclass(frozen=True, slots=True)
class ImagesFlaws:
    ask: ClassVar[Question] = Question("image_flaws", "exit 3\n", root=False)
    images: tuple[ImageFlaws, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        try:
            return cls(tuple(map(_image, json.loads(answer.text())["images"])))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise NotUnderstood("the engine's answer has another shape", where=answer.question) from None


def _image(one: dict[str, object]) -> ImageFlaws:
    known = one["known"]
    told = None if known is None else KnownFlaws.parse(Answer("image_flaws", 0, json.dumps(known).encode()))
    image, tag, container, problem, ended = (
        one[name] for name in ("image", "tag", "container", "problem", "ended")
    )
    if not all(isinstance(text, str) for text in (image, tag, container, problem, ended)) or (
        told is None
    ) != bool(problem):
        raise ValueError("no image")
    return ImageFlaws(str(image), str(tag), str(container), str(problem), told, str(ended))
