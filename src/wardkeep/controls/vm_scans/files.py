"""What one pass over the file systems shows: set-id programs in odd places, what everybody may change, what nobody owns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta

from wardkeep.controls.vm_scans.row import INTEGRITY, MALWARE, RISK, Policy, control
from wardkeep.core.findings import Seen, Severity, fails, passes, unsure
from wardkeep.facts.file_tree import Entry, FileTree

# Where packages put programs (FHS 3.0); set-id files there are held against the packages by another rule.
PROGRAM_FOLDERS = ("/usr/", "/bin/", "/sbin/", "/lib/", "/opt/", "/etc/")
MOST = 5  # files of one folder that are told of one by one
# Programs to which Debian's own packages give capabilities.
CAPABLE = frozenset({
    "/usr/bin/ping", "/bin/ping", "/usr/bin/mtr-packet", "/usr/bin/dumpcap", "/usr/bin/newuidmap", "/usr/bin/newgidmap",
    "/usr/sbin/arping", "/usr/bin/arping", "/usr/bin/clockdiff", "/usr/bin/traceroute6.iputils", "/usr/bin/fping",
    "/usr/bin/systemd-detect-virt", "/usr/sbin/suexec", "/usr/bin/gnome-keyring-daemon", "/usr/bin/slirp4netns",
    "/usr/lib/x86_64-linux-gnu/gstreamer1.0/gstreamer-1.0/gst-ptp-helper",
    "/usr/lib/aarch64-linux-gnu/gstreamer1.0/gstreamer-1.0/gst-ptp-helper",
})  # fmt: skip


def scope(tree: FileTree, now: datetime) -> str:
    """What was looked at and what was not, in words: it stands beside every good verdict."""
    left_out = sorted({why for why, _, _ in tree.excluded if why in ("container", "other-machine")})
    words = {"container": "file systems of containers", "other-machine": "file systems of other machines"}
    out = f"; left out: {', '.join(words[why] for why in left_out)}" if left_out else ""
    hours = max(int((now - tree.at).total_seconds() // 3600), 0)
    return f"{tree.count} entries under {', '.join(sorted(tree.roots))}{out}, {hours} hours ago"


def verdict(tree: FileTree, policy: Policy, now: datetime, found: list[Seen], what: str) -> Iterator[Seen]:
    """The faults, and what is to be said of the host as a whole: a pass only if nothing went unseen, and not long ago."""
    yield from found
    told = scope(tree, now)
    again = "Run `wardkeep scan host` for this host."
    if not tree.complete:
        todo = f"{again} The answer's stderr in the evidence says what went wrong."
        yield unsure("host", f"the pass met faults and did not see everything: {told}", todo)
    elif now - tree.at > timedelta(hours=policy.files_hours):
        yield unsure("host", f"the last pass is too old to say: {told}", again)
    elif not found:
        yield passes("host", f"{what} in {told}")


def gathered(
    entries: Iterable[Entry], one: Callable[[Entry], Seen], many: Callable[[str, list[Entry]], Seen]
) -> list[Seen]:
    """A finding for each file; where a folder holds more than MOST of them, one for the folder."""
    folders: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda e: e.path):
        folders.setdefault(entry.path.rpartition("/")[0] or "/", []).append(entry)
    found = []
    for folder, held in sorted(folders.items()):
        found += [one(entry) for entry in held] if len(held) <= MOST else [many(folder, held)]
    return found


def below(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)


def examples(held: list[Entry]) -> str:
    return ", ".join(entry.path.rpartition("/")[2] for entry in held[:3])


@control.rule(
    says="No set-id program lies where no package puts one.",
    severity=Severity.HIGH,
    serves={
        RISK: "A program in a home or a temporary folder that lends its owner's rights is a way to them.",
        MALWARE: "A set-id copy of a shell in a hidden place is the oldest back door.",
    },
)
def set_id_in_place(tree: FileTree, policy: Policy, now: datetime) -> Iterator[Seen]:
    odd = [
        e for e in tree.entries
        if e.set_id and not e.path.startswith(PROGRAM_FOLDERS) and e.path not in policy.set_id_programs
    ]  # fmt: skip
    todo = "Remove its set-id bit or the file, or name it in `set_id_programs`."
    found = gathered(
        odd,
        lambda e: fails(f"file:{e.path}", f"set-id, {e.shown_mode}", todo),
        lambda folder, held: fails(
            f"folder:{folder}", f"{len(held)} set-id files: {examples(held)}, …", todo
        ),
    )
    count = sum(entry.set_id for entry in tree.entries)
    yield from verdict(tree, policy, now, found, f"{count} set-id programs, all in folders of programs,")


set_id_in_place.cannot_mend("a person must say whether the program is theirs")


@control.rule(
    says="No set-id program can be changed by anybody but its owner.",
    severity=Severity.CRITICAL,
    serves={
        RISK: "Who may write to a program that runs with another's rights has those rights.",
        INTEGRITY: "A program that others may write to can be altered without a trace.",
    },
)
def set_id_not_writable(tree: FileTree, policy: Policy, now: datetime) -> Iterator[Seen]:
    bad = [e for e in tree.entries if e.set_id and e.mode & (0o002 if e.gid == 0 else 0o022)]
    found = [
        fails(
            f"file:{e.path}",
            f"set-id and writable for others, {e.shown_mode}",
            "Find out who made it; remove the file.",
        )
        for e in sorted(bad, key=lambda e: e.path)
    ]
    yield from verdict(tree, policy, now, found, "no set-id program is writable for others")


set_id_not_writable.cannot_mend("such a file is a trace of somebody; a person looks first")


@control.rule(
    says="Nothing on the host can be changed by everybody.",
    severity=Severity.MEDIUM,
    serves={
        INTEGRITY: "What everybody may write to, anybody can alter, and nobody can tell who did.",
        RISK: "A file that everybody may change and root reads lets anybody act as root.",
    },
)
def nothing_world_writable(tree: FileTree, policy: Policy, now: datetime) -> Iterator[Seen]:
    wide = [e for e in tree.entries if e.world_writable and not below(e.path, policy.world_writable)]
    kinds = {"d": "folder without the sticky bit", "p": "pipe", "f": "file"}

    def severity(entry: Entry) -> Severity:
        return Severity.HIGH if entry.path.startswith(PROGRAM_FOLDERS) else Severity.MEDIUM

    todo = "Take the right away (chmod o-w), or name the place in `world_writable`."
    found = gathered(
        wide,
        lambda e: fails(f"file:{e.path}", f"{kinds[e.kind]}, {e.shown_mode}", todo, severity=severity(e)),
        lambda folder, held: fails(
            f"folder:{folder}",
            f"{len(held)} files everybody may change: {examples(held)}, …",
            todo,
            severity=severity(held[0]),
        ),
    )
    yield from verdict(tree, policy, now, found, "nothing that everybody may change")


nothing_world_writable.cannot_mend("a service may rely on the right; a person says who needs to write there")


@control.rule(
    says="Everything belongs to an account and a group that exist.",
    severity=Severity.LOW,
    serves={
        RISK: "The next account that is made takes over what a number without a name owns.",
    },
)
def everything_owned(tree: FileTree, policy: Policy, now: datetime) -> Iterator[Seen]:
    lost = [e for e in tree.unowned() if not below(e.path, policy.unowned)]
    todo = "Give it to an account (chown), remove it, or name its folder in `unowned`."
    found = gathered(
        lost,
        lambda e: fails(f"file:{e.path}", f"owner {e.user}, group {e.group}: no such name here", todo),
        lambda folder, held: fails(
            f"folder:{folder}",
            f"{len(held)} entries of owner {held[0].user}, group {held[0].group} and others: {examples(held)}, …",
            todo,
        ),
    )
    yield from verdict(tree, policy, now, found, "nothing without an owner")


everything_owned.cannot_mend("a person must say whose it is")


@control.rule(
    says="No device file lies outside of /dev.",
    severity=Severity.HIGH,
    serves={MALWARE: "A device file elsewhere lets who owns it read the disk past all rights."},
)
def no_devices_elsewhere(tree: FileTree, policy: Policy, now: datetime) -> Iterator[Seen]:
    # systemd keeps two that nobody may open, to lay over what a service shall not see.
    devices = [
        e for e in tree.entries
        if e.device and not e.path.startswith("/dev/") and not (e.mode == 0 and "/systemd/inaccessible/" in e.path)
    ]  # fmt: skip
    todo = "Find out who made it, and remove it."
    found = gathered(
        devices,
        lambda e: fails(
            f"file:{e.path}", f"{'block' if e.kind == 'b' else 'character'} device, {e.shown_mode}", todo
        ),
        lambda folder, held: fails(
            f"folder:{folder}", f"{len(held)} device files: {examples(held)}, …", todo
        ),
    )
    yield from verdict(tree, policy, now, found, "no device file outside of /dev")


no_devices_elsewhere.cannot_mend("such a file is a trace of somebody; a person looks first")


@control.rule(
    says="Only programs that are known have capabilities.",
    severity=Severity.MEDIUM,
    serves={
        RISK: "A capability lends a part of root's rights, as a set-id bit lends all of them, and shows in no listing.",
        MALWARE: "A capability on a copied interpreter is a back door that a look for set-id files misses.",
    },
)
def capabilities_known(tree: FileTree, policy: Policy, now: datetime) -> Iterator[Seen]:
    if tree.capabilities is None:
        yield unsure(
            "host", "the host has no getcap, so capabilities were not looked at", "Install libcap2-bin."
        )
        return
    known = CAPABLE | policy.capable_programs
    odd = [(path, told) for path, told in sorted(tree.capabilities) if path not in known]
    found = [
        fails(f"file:{path}", told, f"Take them away (setcap -r), or name {path} in `capable_programs`.")
        for path, told in odd
    ]
    yield from verdict(
        tree, policy, now, found, f"{len(tree.capabilities)} programs with capabilities, all known,"
    )


capabilities_known.cannot_mend("a person must say whether the program is theirs")
