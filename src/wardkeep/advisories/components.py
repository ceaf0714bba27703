"""What is installed, in one form, whatever it was read from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Component:
    """One package as advisories speak of it: for dpkg and apk the source package and its version.

    `binaries` are the packages as installed, `installed` the first one's version as its tool shows it, `binary_versions` those of all
    where they are known one by one. `foreign` says, where the package
    is not from the vendor's archive, how that is known: then the vendor's data do not decide. `place` is the file it stands in.
    """

    ecosystem: str
    name: str
    version: str
    installed: str = ""
    binaries: tuple[str, ...] = ()
    foreign: str = ""
    place: str = ""
    binary_versions: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        return self.installed or self.version


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about the inventory that no advisory can say: it counts as a failure or as unknown, or only says what was not asked for."""

    kind: str  # "unsupported_release", "foreign_package", "not_readable", "no_feed", "system_only"
    subject: str
    why: str
    is_unknown: bool = True


@dataclass(slots=True)
class Inventory:
    """What one host, root file system, bill of materials or lock file holds."""

    name: str
    components: list[Component] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    release: tuple[str, str] = ("", "")  # os-release's ID and VERSION_ID
    # Language packages that belong to a package of the system: the vendor's data decide about them, so they are not asked twice.
    covered: int = 0
    images: tuple[str, ...] = ()  # of a container image: the digests it is known by
