"""Maintaining base images: so far, that nothing runs on an image that was not renewed for long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from wardkeep.core.control import Control
from wardkeep.core.findings import Seen, Severity, holds, passes, unsure
from wardkeep.facts.containers import Containers


@dataclass(frozen=True, kw_only=True)
class Policy:
    image_days: int = field(
        default=30,
        metadata={
            "doc": "an image that runs was made at most this long ago",
            "unit": "d",
            "number": "patch_high",
        },
    )


control = Control(
    "base_images",
    policy=Policy,
    missing=(
        "Nothing builds, signs or rebuilds base images yet.",
        "What is inside an image, and its known flaws, is not looked at.",
        "Rootless containers of other users and other engines than podman and docker are not seen.",
    ),
)
control.cannot_drill("not built")


@control.rule(
    says="No container runs on an image older than policy allows.",
    severity=Severity.MEDIUM,
    serves={
        "164.308(a)(1)(ii)(B)": "An image is patched only by being made anew, so its age is the age of its fixes.",
        "164.308(a)(5)(ii)(B)": "Old images carry the known flaws through which malicious software enters.",
    },
)
def images_young(containers: Containers, policy: Policy, now: datetime) -> Iterator[Seen]:
    if not containers.running:
        engines = ", ".join(sorted(containers.engines)) or "neither podman nor docker is installed"
        yield passes("host", f"no container runs as root ({engines})")
    for container in sorted(containers.running, key=lambda c: (c.engine, c.name)):
        subject = f"container:{container.engine}:{container.name}"
        tags = ", ".join(sorted(container.tags)) or "an image without a name"
        if container.made is None:
            yield unsure(
                subject, "its image is no longer on this host, so its age is not known", "Start it anew."
            )
            continue
        days = (now - container.made).days
        seen = f"{tags}, made {container.made:%Y-%m-%d}, {days} days ago"
        yield holds(
            days <= policy.image_days, subject, seen, "Build the image anew and start the container from it."
        )


images_young.cannot_mend("a container is replaced by whoever deploys the application")
