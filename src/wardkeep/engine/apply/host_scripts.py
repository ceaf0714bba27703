"""The scripts that run on a host to make a change, confirm it, and take it back. POSIX sh, coreutils and flock.

Everything of a change lies in `FOLDER/<apply>/<number>` on the host, for root only: the new file, the one before, and
`undo.sh`, which needs no controller. Under one lock, and only with a token not lower than any seen before. Each script may run
again after having been killed anywhere: it looks at the marks it left (`prepared`, `made`, `decided`).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from wardkeep.engine.plans.asking import apt_command
from wardkeep.engine.plans.document import ActChange, AnyChange, FileChange, UpgradeChange

# Not in /var/lib/wardkeep: on the controller's own machine that belongs to the service's user, and root must not
# run a script from a folder that another user can write to.
FOLDER = "/var/lib/wardkeep-changes"
CONFIRM = 60  # seconds until the host takes an unconfirmed change back by itself

PROBE_FAILED = 64  # no script ends so: what was tried from here went otherwise than foretold
CHECK_FAILED, ACT_FAILED, CHANGED, TAKEN_BACK, NO_UNDO, LOCKED, FENCED = 65, 66, 67, 68, 69, 75, 76
MEANING = {
    PROBE_FAILED: "it was not confirmed, since what was tried from here went otherwise than the rules foretell",
    CHECK_FAILED: "the new state was found invalid there and the old one restored",
    ACT_FAILED: "it failed there",
    CHANGED: "it is not as it was when the plan was made",
    TAKEN_BACK: "the host took it back by itself: nobody confirmed it in time",
    NO_UNDO: "it cannot be taken back",
    LOCKED: "another change is being made there",
    FENCED: "the host has seen a newer worker and refused this one",
}
q = shlex.quote


@dataclass(frozen=True)
class Place:
    """Where a change's things lie on the host, and the token its scripts carry."""

    work: str  # the apply's id
    number: int
    token: int
    folder: str = FOLDER
    confirm: int = CONFIRM

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.work}/{self.number}"

    @property
    def unit(self) -> str:
        return f"wardkeep-undo-{self.work}-{self.number}"


def fenced(place: Place, body: str) -> str:
    """The body under the host's lock, refused when the host has seen a higher token than ours."""
    return f"""set -u
umask 077
d={q(place.folder)} c={q(place.path)}
mkdir -p "$d" && chmod 700 "$d" || exit 74
exec 9>>"$d/lock" || exit 74
flock -w 120 9 || {{ echo 'the lock of another change is held' >&2; exit {LOCKED}; }}
seen=0
[ -e "$d/fence" ] && read -r seen <"$d/fence"
[ {place.token} -ge "$seen" ] 2>/dev/null || {{ echo "token {place.token} is lower than $seen" >&2; exit {FENCED}; }}
if [ {place.token} -gt "$seen" ]; then
  echo {place.token} >"$d/fence.new" && sync "$d/fence.new" && mv -f "$d/fence.new" "$d/fence" || exit 74
fi
digest() {{ if [ -e "$1" ]; then sha256sum <"$1" | {{ read -r s _; echo "sha256:$s"; }}; fi; }}
decided() {{ [ -e "$c/decided" ] && [ "$(cat "$c/decided")" = "$1" ]; }}
{body}
"""


def prepare(place: Place, change: AnyChange) -> str:
    """Put everything for the change, and for taking it back, on the host. The new file comes over standard input."""
    undo, body = undo_script(place, change), ""
    match change:
        case FileChange():
            body = f"""
cat >"$c/new" || exit 74
[ "$(digest "$c/new")" = {q(change.after)} ] || {{ echo 'the upload arrived damaged' >&2; exit 74; }}
p={q(change.path)}
[ "$(digest "$p")" = {q(change.before)} ] || {{ echo "$p changed" >&2; exit {CHANGED}; }}
if [ -e "$p" ]; then cp -p "$p" "$c/before" || exit 74; else : >"$c/absent"; fi"""
        case UpgradeChange():
            names = " ".join(q(name) for name, _, _ in change.packages)
            expected = "\n".join(sorted(f"{bare(name)} {before}" for name, before, _ in change.packages))
            body = f"""
dpkg-query -W -f '${{Package}} ${{Version}}\\n' {names} | sort >"$c/versions"
printf '%s\\n' {q(expected)} | sort | cmp -s - "$c/versions" || {{ echo 'other versions are installed' >&2; exit {CHANGED}; }}"""
        case ActChange():
            body = f"""
printf '%s\\n' {q(change.script)} >"$c/act.sh" || exit 74"""
    return fenced(
        place,
        f"""[ -e "$c/prepared" ] && exit 0
mkdir -p "$c" || exit 74
{body}
printf '%s\\n' {q(undo)} >"$c/undo.sh" || exit 74
printf '%s\\n' {q(timer_script(place))} >"$c/timer.sh" || exit 74
sync "$c"/* "$c"
: >"$c/prepared" && sync "$c/prepared"
""",
    )


def bare(package: str) -> str:
    """The name as dpkg-query's `${Package}` prints it: `libc6` for `libc6:i386`."""
    return package.partition(":")[0]


def make(place: Place, change: AnyChange) -> str:
    """Make the change. If it turns out invalid or fails, the host itself goes back at once."""
    arm = _arm(place) if change.confirmed and has_undo(change) else ""
    match change:
        case FileChange():
            act = _write(change)
        case UpgradeChange():
            act = _upgrade(change)
        case ActChange():
            act = f"""
sh "$c/act.sh" 9>&- || {{ e=$?; echo undone >"$c/decided"; sh "$c/undo.sh" 9>&-; echo "exit status $e" >&2; exit {ACT_FAILED}; }}"""
    return fenced(
        place,
        f"""[ -e "$c/prepared" ] || {{ echo 'it was not prepared' >&2; exit 74; }}
decided undone && exit {TAKEN_BACK}
[ -e "$c/made" ] && exit 0
{arm}
umask 022
{act}
: >"$c/made" && sync "$c/made"
""",
    )


def confirm(place: Place, change: AnyChange) -> str:
    """Keep the change: run over a new connection, so that whoever made it can still get in."""
    same = (
        f"""[ "$(digest {q(change.path)})" = {q(change.after)} ] || {{ echo 'the file changed since' >&2; exit {CHANGED}; }}"""
        if isinstance(change, FileChange)
        else ""
    )
    return fenced(
        place,
        f"""decided undone && exit {TAKEN_BACK}
[ -e "$c/made" ] || {{ echo 'it was not made' >&2; exit 74; }}
{same}
echo confirmed >"$c/decided" && sync "$c/decided" || exit 74
{_disarm(place)}
exit 0
""",
    )


def look(place: Place) -> str:
    """Prints how far the change has come there: `undone`, `made`, `prepared` or `nothing`."""
    return fenced(
        place,
        """if decided undone || [ -e "$c/undone" ]; then echo undone
elif [ -e "$c/made" ]; then echo made
elif [ -e "$c/prepared" ]; then echo prepared
else echo nothing; fi
""",
    )


def take_back(place: Place, change: AnyChange, *, later: bool) -> str:
    """Undo the change. `later`: only if the host still has what we made; somebody's newer work is not touched."""
    guard = ""
    if later and isinstance(change, FileChange):
        guard = f"""now=$(digest {q(change.path)})
[ "$now" = {q(change.after)} ] || [ "$now" = {q(change.before)} ] || {{ echo 'the file changed since: not touched' >&2; exit {CHANGED}; }}"""
    return fenced(
        place,
        f"""[ -e "$c/prepared" ] || exit 0
[ -e "$c/undone" ] && exit 0
{guard}
echo undone >"$c/decided" && sync "$c/decided" || exit 74
{_disarm(place)}
( umask 022; sh "$c/undo.sh" ) 9>&- || exit $?
: >"$c/undone" && sync "$c/undone"
""",
    )


def has_undo(change: AnyChange) -> bool:
    return not isinstance(change, ActChange) or bool(change.undo.strip())


def undo_script(place: Place, change: AnyChange) -> str:
    """What takes the change back, complete in itself. With the word `file` it restores the file only."""
    match change:
        case FileChange():
            activate = "\n".join(f"( {command} ) || e={ACT_FAILED}" for command in change.activate)
            return f"""# Takes back: {change.says}
c={q(place.path)} p={q(change.path)} e=0
if [ -e "$c/before" ]; then
  t="${{p%/*}}/.wardkeep-undo"
  cp -p "$c/before" "$t" && mv -f "$t" "$p" || exit 74
elif [ -e "$c/absent" ]; then
  rm -f "$p" || exit 74
fi
[ "${{1:-}}" = file ] && exit 0
{activate}
exit $e"""
        case UpgradeChange():
            back = tuple((name, to, before) for name, before, to in change.packages if before)
            return f"""# Takes back: {change.says}
{apt_command(back, simulate=True, downgrade=True)} >/dev/null 2>&1 || {{ echo 'the versions before are no longer in the archive' >&2; exit {NO_UNDO}; }}
{apt_command(back, simulate=False, downgrade=True)} >/dev/null || exit {ACT_FAILED}"""
        case ActChange():
            return change.undo if has_undo(change) else ": nothing to take back"


def timer_script(place: Place) -> str:
    """Runs on the host when the time to confirm is over, or at its next boot: takes the change back unless decided."""
    return f"""umask 022
c={q(place.path)}
{f"rm -f {_boot_unit(place)} {_boot_link(place)}" if place.folder == FOLDER else ":"}
exec 9>>{q(place.folder)}/lock
flock 9
[ -e "$c/decided" ] && exit 0
echo undone >"$c/decided" && sync "$c/decided"
sh "$c/undo.sh" >"$c/undo.log" 2>&1 9>&- && : >"$c/undone\""""


def _boot_unit(place: Place) -> str:
    return f"/etc/systemd/system/{place.unit}-boot.service"


def _boot_link(place: Place) -> str:
    return f"/etc/systemd/system/multi-user.target.wants/{place.unit}-boot.service"


def _arm(place: Place) -> str:
    """Set the host's own clock on the change. A timer does not outlive a reboot, so a unit stands by for the next boot."""
    run = f"--quiet --collect --unit={q(place.unit)} --on-active={place.confirm} --timer-property=AccuracySec=1s"
    unit = (
        "[Unit]\nDescription=Take back an unconfirmed change of Wardkeep\n"
        f"[Service]\nType=oneshot\nExecStart=/bin/sh {place.path}/timer.sh\n"
    )
    # Only a change in the host's own folder may leave units on it: tests in a folder of their own must not.
    own = "" if place.folder == FOLDER else "false && "
    return f"""
if [ ! -e "$c/decided" ]; then
  if {own}[ -d /run/systemd/system ] && command -v systemd-run >/dev/null; then
    mkdir -p /etc/systemd/system/multi-user.target.wants
    printf %s {q(unit)} >{_boot_unit(place)} && ln -sf {_boot_unit(place)} {_boot_link(place)} || exit 74
    systemctl is-active -q {q(place.unit)}.timer || systemd-run {run} /bin/sh "$c/timer.sh" 9>&- || exit 74
  else
    setsid sh -c 'sleep {place.confirm}; exec sh "$0"' "$c/timer.sh" </dev/null >/dev/null 2>&1 9>&- &
  fi
fi"""


def _disarm(place: Place) -> str:
    if place.folder != FOLDER:
        return ":"
    return (
        f"rm -f {_boot_unit(place)} {_boot_link(place)}\n"
        f"systemctl stop {q(place.unit)}.timer >/dev/null 2>&1 9>&-"
    )


def _write(change: FileChange) -> str:
    check = " && ".join(f"( {command} )" for command in change.check) or ":"
    activate = " && ".join(f"( {command} )" for command in change.activate) or ":"
    back = 'echo undone >"$c/decided"; sh "$c/undo.sh"'
    return f"""
p={q(change.path)}
now=$(digest "$p")
[ "$now" = {q(change.before)} ] || [ "$now" = {q(change.after)} ] || {{ echo "$p changed" >&2; exit {CHANGED}; }}
mkdir -p "${{p%/*}}" || exit 74
t="${{p%/*}}/.wardkeep-new"
cp "$c/new" "$t" && chmod {q(change.mode)} "$t" || exit 74
[ -e "$c/before" ] && chown --reference="$c/before" "$t"
sync "$t" && mv -f "$t" "$p" && sync "${{p%/*}}" || exit 74
{{ {check}; }} 9>&- || {{ {back} file; : >"$c/undone"; exit {CHECK_FAILED}; }}
{{ {activate}; }} 9>&- || {{ {back} 9>&-; : >"$c/undone"; exit {ACT_FAILED}; }}
"""


def _upgrade(change: UpgradeChange) -> str:
    names = " ".join(q(name) for name, _, _ in change.packages)
    wanted = "\n".join(sorted(f"{bare(name)} {to}" for name, _, to in change.packages))
    # In a session of its own, and holding the lock: dpkg must not be killed in the middle because the controller was,
    # and whoever comes next waits for it to end.
    return f"""
dpkg --audit | grep -q . && DEBIAN_FRONTEND=noninteractive dpkg --configure -a --force-confold >/dev/null 2>&1
rm -f "$c/exit"
setsid sh -c {q(apt_command(change.packages, simulate=False) + ' >"$0/log" 2>&1; echo $? >"$0/exit"')} "$c" </dev/null >/dev/null 2>&1 &
wait
[ "$(cat "$c/exit" 2>/dev/null)" = 0 ] || {{ grep '^E:' "$c/log" >&2; exit {ACT_FAILED}; }}
printf '%s\\n' {q(wanted)} | sort >"$c/wanted"
dpkg-query -W -f '${{Package}} ${{Version}}\\n' {names} | sort | cmp -s - "$c/wanted" || {{ echo 'other versions were installed' >&2; exit {ACT_FAILED}; }}"""
