"""The packages of an image that runs on a host: those of its system from each look, all others from the last long look into it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from wardkeep.advisories.components import Inventory, Notice
from wardkeep.advisories.ecosystems import of_release
from wardkeep.advisories.inventories.debian import of_apk, of_dpkg, parse_os_release, unread_dpkg
from wardkeep.core.errors import WardkeepError
from wardkeep.core.facts import Answer, Snapshot, Unknown
from wardkeep.engine.inventories import support_notices
from wardkeep.facts.container_packages import ImagePackages
from wardkeep.facts.image_contents import ImageContent, ImageContents, is_raw

STALE = timedelta(days=3)
# What is no package at all: nothing of it can be late, and whoever looks into images is told of it.
NAMELESS = frozenset({"unknown_program", "unnamed_jar"})


@dataclass(slots=True)
class PackagesOfImage:
    """`problem` says why nothing can be said of the image, or is "". `unseen` says why it was not looked into, or is "": then the packages
    are those of its system alone."""

    inventory: Inventory
    problem: str = ""
    unseen: str = ""
    gaps: list[str] = field(default_factory=list)  # what keeps the packages from being all of them

    @property
    def ended(self) -> str:
        found = (n for n in self.inventory.notices if n.kind == "unsupported_release" and not n.is_unknown)
        return "; ".join(f"{n.subject}: {n.why}" for n in found)


def packages_of_image(one: ImagePackages, snapshot: Snapshot) -> PackagesOfImage:
    """What is known of an image as this look saw it."""
    seen, unseen = content_of(one, snapshot)
    made = PackagesOfImage(Inventory(one.tag), unseen=unseen)
    inventory = made.inventory
    if one.kind == "none":
        made.problem = _without_database(one, seen, inventory, snapshot)
        if unseen:
            made.problem += f"; {unseen}"
    else:
        made.problem = _of_system(one, inventory, snapshot)
        if seen is not None:
            inventory.components += seen.inventory.components
            inventory.notices += seen.inventory.notices
    if made.problem and inventory.components:
        inventory.notices.append(Notice("no_feed", "its system", made.problem))
        made.problem = ""
    if unseen:
        inventory.notices.append(Notice("not_readable", "its language packages", unseen))
    made.gaps = [
        f"{n.subject}: {n.why}" for n in inventory.notices if n.is_unknown and n.kind not in NAMELESS
    ]
    return made


def content_of(one: ImagePackages, snapshot: Snapshot) -> tuple[ImageContent | None, str]:
    """What the last long look saw in an image, or why it is not known."""
    contents = snapshot.learn(ImageContents)
    if isinstance(contents, Unknown):
        return None, contents.reason
    again = f"`wardkeep scan host {snapshot.subject}` looks now"
    if snapshot.at - contents.at > STALE:
        return None, f"the last look into the images was on {contents.at.date()}; {again}"
    seen = contents.of(one.engine, one.image)
    if seen is None:
        return None, f"it did not run yet when the images were looked into; {again}"
    return (None, seen.problem) if seen.problem else (seen, "")


def kept_form(snapshot: Snapshot) -> tuple[Snapshot, list[tuple[str, bytes]]]:
    """The snapshot with what was read from a walk instead of the walk itself, and the walk as a named blob to be kept beside it."""
    name = ImageContents.ask.id
    answer = snapshot.answers.get(name)
    if answer is None or not is_raw(answer):
        return snapshot, []
    contents = snapshot.learn(ImageContents)
    if isinstance(contents, Unknown):
        why = contents.reason.removeprefix(f"{name}: ")
        read = Answer(name, None, b"", answer.stderr, whole=False, problem=why)
    else:
        read = replace(answer, stdout=contents.told())
    # Without the moment, so that the same images give the same bytes and are kept once.
    blob = (name, answer.stdout.partition(b"\n")[2])
    return replace(snapshot, answers={**snapshot.answers, name: read}, _learned={}), [blob]


def _without_database(
    one: ImagePackages, seen: ImageContent | None, made: Inventory, snapshot: Snapshot
) -> str:
    """Of an image without dpkg and apk: what the long look saw is all there is."""
    if seen is None:
        return "it has no package database that can be read from here (dpkg, apk)"
    made.release = seen.inventory.release
    made.components = list(seen.inventory.components)
    made.notices = list(seen.inventory.notices)
    if of_release(*made.release):
        made.notices += support_notices(made.release, " ".join(made.release), snapshot.at.date())
    return "" if made.components else "it names not one package: no database, no language package"


def _of_system(one: ImagePackages, made: Inventory, snapshot: Snapshot) -> str:
    try:
        made.release = parse_os_release(one.release, one.tag)
    except WardkeepError as e:
        return f"its os-release {e.what}"
    ecosystem = of_release(*made.release)
    if not ecosystem:
        return f"no vendor's data are known for its release `{' '.join(made.release).strip()}`"
    read = of_dpkg if one.kind == "dpkg" else of_apk
    made.components = read(one.database, ecosystem)
    if one.kind == "dpkg":
        made.notices += [Notice("not_readable", one.tag, why) for why in unread_dpkg(one.database)]
    if not made.components:
        return "its package database names not one installed package"
    made.notices += support_notices(made.release, " ".join(made.release), snapshot.at.date())
    return ""
