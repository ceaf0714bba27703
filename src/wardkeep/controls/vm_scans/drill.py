"""The drill: what an intruder would leave is left for a moment, and the same questions that observe must name it."""

from __future__ import annotations

from collections.abc import Iterator

from wardkeep.controls.vm_scans.files import set_id_not_writable
from wardkeep.controls.vm_scans.programs import listeners_known, set_id_owned
from wardkeep.controls.vm_scans.row import control
from wardkeep.core.changes import NOT_TRIED, OnHost, Step
from wardkeep.facts.file_tree import FileTree
from wardkeep.facts.listener_programs import ListenerPrograms
from wardkeep.facts.programs import Programs

# The drill's own files, made with a fixed content.
PLANTED = "/var/tmp/wardkeep-drill-set-id"  # noqa: S108
OPEN = "/var/tmp/wardkeep-drill-open-set-id"  # noqa: S108
LISTENER = "/var/tmp/wardkeep-drill-listener"  # noqa: S108
PID = "/run/wardkeep-drill-listener.pid"
# It listens on the loopback address alone, takes nobody's connection, and ends by itself.
LISTEN = "use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or exit 1; bind(S, sockaddr_in(0, INADDR_LOOPBACK)) or exit 1; listen(S, 1) or exit 1; sleep 90"
# Only the drill's own process is ended: its number may belong to another by now.
END_LISTENER = f"""
read -r pid <{PID} && [ "$(readlink "/proc/$pid/exe" | sed 's/ (deleted)$//')" = {LISTENER} ] && kill "$pid"
rm -f {PID} {LISTENER}
"""


@control.drilled_by
def plant_and_find(programs: Programs, listeners: ListenerPrograms) -> Iterator[Step]:
    """The same questions that observe are asked while harmless things lie where intruders leave theirs."""
    yield OnHost(
        "A set-id copy of `true` is left in /var/tmp, and the look at set-id programs names it",
        f"rm -f {PLANTED}; cp /bin/true {PLANTED} && chmod 4755 {PLANTED} || exit 3\n"
        f"({Programs.ask.script}) | grep -F ' {PLANTED}'",
        set_id_owned.id,
        expect_text=f"|4755 root {PLANTED}",
        undo=f"rm -f {PLANTED}",
        timeout=90,
    )
    yield OnHost(
        "A set-id program that everybody may change is left in /var/tmp, and one pass over all files names it",
        f"rm -f {OPEN}; cp /bin/true {OPEN} && chmod 4777 {OPEN} || exit 3\n"
        f"({FileTree.ask.script}) | grep -F ' {OPEN}'",
        set_id_not_writable.id,
        expect_text=f"|f 4777 0 root 0 root {OPEN}",
        undo=f"rm -f {OPEN}",
        timeout=FileTree.ask.timeout,
    )
    yield OnHost(
        "A program of no package listens on the loopback address, and the look at listening programs names it",
        f"[ -x /usr/bin/perl ] || exit {NOT_TRIED}\n{END_LISTENER}cp /usr/bin/perl {LISTENER} || exit 3\n"
        f"{LISTENER} -e '{LISTEN}' </dev/null >/dev/null 2>&1 &\necho $! >{PID}\n"
        # Until it listens: the look may come only then.
        f'for try in 1 2 3 4 5 6 7 8 9 10; do ss -Hltnp | grep -q "pid=$(cat {PID})," && break; sleep 0.5; done\n'
        f"({ListenerPrograms.ask.script}) | grep -F ' {LISTENER} '",
        listeners_known.id,
        expect_text=f"|here {LISTENER} = wardkeep-drill-",
        undo=END_LISTENER,
        timeout=90,
    )
