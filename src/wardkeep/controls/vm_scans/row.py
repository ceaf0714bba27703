"""The row's policy and the control that the other modules of this folder fill."""

from __future__ import annotations

from dataclasses import dataclass, field

from wardkeep.core.control import Control

EVALUATION = "164.308(a)(8)"
RISK = "164.308(a)(1)(ii)(A)"
MALWARE = "164.308(a)(5)(ii)(B)"
INTEGRITY = "164.312(c)(2)"
PLAN = "Run `wardkeep plan` for this host to see the change."


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a scanned machine is held to."""

    set_id_programs: frozenset[str] = field(
        default=frozenset(),
        metadata={"doc": "set-id programs of your own, by path, that no Debian package owns"},
    )
    capable_programs: frozenset[str] = field(
        default=frozenset(),
        metadata={
            "doc": "programs with capabilities of your own, by path, beside those of Debian's packages"
        },
    )
    world_writable: frozenset[str] = field(
        default=frozenset(),
        metadata={"doc": "files and folders, with all below, that everybody may change, by path"},
    )
    unowned: frozenset[str] = field(
        default=frozenset(),
        metadata={"doc": "folders, with all below, whose owners need no name on the host, by path"},
    )
    listening_programs: frozenset[str] = field(
        default=frozenset(),
        metadata={"doc": "programs of your own that may listen, by path, that no Debian package owns"},
    )
    outside_ports: frozenset[int] = field(
        default=frozenset({22, 80, 443}),
        metadata={"doc": "TCP ports that may answer when tried from outside of the host", "unit": "ports"},
    )
    files_hours: int = field(
        default=26,
        metadata={"doc": "what lies in the file systems is known by a pass at most this old", "unit": "h"},
    )
    sums_days: int = field(
        default=31,
        metadata={"doc": "all packages' files are compared with their checksums every", "unit": "d"},
    )
    outside_days: int = field(
        default=31,
        metadata={"doc": "the host is looked at from outside every", "unit": "d"},
    )
    malware_days: int = field(
        default=7,
        metadata={"doc": "a malware scanner reports every; 0 where none is wanted", "unit": "d"},
    )
    signature_days: int = field(
        default=3,
        metadata={"doc": "the malware scanner's signatures are at most this old", "unit": "d"},
    )
    imports_days: int = field(
        default=90,
        metadata={"doc": "an imported report of another tool says how the host is for", "unit": "d"},
    )
    umask: str = field(
        default="027",
        metadata={"doc": "new files of people are closed at least so far", "unit": "umask"},
    )


control = Control(
    "vm_scans",
    policy=Policy,
    missing=(
        "The data's own integrity is not checked; only programs and packages are.",
        "UDP ports are not tried from outside.",
    ),
)
