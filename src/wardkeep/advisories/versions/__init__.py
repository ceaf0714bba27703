"""The exact order of versions, one scheme for each ecosystem, most as keys whose bytes sort as the versions do.

With keys a fleet is matched by sorting and searching bytes, not by comparing pairs. Where the scheme's own order is no
order at all (Maven), there is no key and `compare` holds two versions against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wardkeep.advisories.versions import apk, composer, dpkg, gem, maven, others, pep440, rpm, semver
from wardkeep.advisories.versions.packed import NotAVersion
from wardkeep.core.profiles import did_you_mean

__all__ = ["SCHEMES", "NotAVersion", "Scheme", "compare", "key", "scheme"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How one ecosystem orders its versions. `key` is None where no key can keep that order."""

    name: str
    key: Callable[[str], bytes] | None
    pairwise: Callable[[str, str], int] | None = None
    # How a range's ends and an installed version are written before they are held against each other.
    normal: Callable[[str], str] = str

    def compare(self, left: str, right: str) -> int:
        """-1, 0 or 1. Raises NotAVersion where the scheme's own tool has no answer."""
        if self.pairwise is not None:
            return self.pairwise(left, right)
        assert self.key is not None, "a scheme has a key or a comparison"
        a, b = self.key(left), self.key(right)
        return (a > b) - (a < b)


SCHEMES: Mapping[str, Scheme] = {
    one.name: one
    for one in (
        Scheme("dpkg", dpkg.key),
        Scheme("rpm", rpm.key),
        Scheme("apk", apk.key),
        Scheme("pypi", pep440.key),
        Scheme("npm", semver.key),
        Scheme("semver", semver.key),
        Scheme("go", semver.key, normal=semver.go_normal),
        Scheme("cargo", semver.key),
        Scheme("pub", semver.pub_key),
        Scheme("nuget", semver.nuget_key),
        Scheme("gem", gem.key),
        Scheme("composer", composer.key, composer.compare, composer.normal),
        Scheme("maven", None, maven.compare),
        Scheme("alpm", None, others.alpm_compare),
        Scheme("conan", None, others.conan_compare),
        Scheme("gentoo", others.gentoo_key),
        Scheme("openssl", others.openssl_key),
        Scheme("datetime", others.time_key),
        Scheme("lexicographic", others.text_key),
    )
}


def scheme(name: str) -> Scheme:
    """The scheme of that name. Raises NotAVersion naming the nearest one."""
    if name not in SCHEMES:
        raise NotAVersion(f"no version scheme is called `{name}`", todo=did_you_mean(name, SCHEMES))
    return SCHEMES[name]


def key(name: str, text: str) -> bytes:
    """The sort key of a version. Raises NotAVersion, also for a scheme that has no keys."""
    made = scheme(name).key
    if made is None:
        raise NotAVersion(f"versions of {name} have no key", todo="Compare them in pairs.")
    return made(text)


def compare(name: str, left: str, right: str) -> int:
    """-1, 0 or 1 for two versions of one scheme. Raises NotAVersion."""
    return scheme(name).compare(left, right)
