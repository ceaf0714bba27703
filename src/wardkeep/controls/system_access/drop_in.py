"""Changes to sshd's configuration, as lines of drop-in files that are ours alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatch

from wardkeep.core.changes import Blocked, Change, Setting
from wardkeep.core.findings import Seen
from wardkeep.facts.sshd import Sshd, SshServer

DROP_IN = "/etc/ssh/sshd_config.d/00-wardkeep.conf"
OVERRIDE = "/etc/ssh/sshd_config.d/00-wardkeep-match.conf"
CHECK = "sshd -t"
RELOAD = "systemctl reload ssh"
SEE = "Run `wardkeep plan` for this host to see the change."


def settings(
    sshd: Sshd, failing: list[Seen], rule: str, wanted: Mapping[str, str], harm: str = ""
) -> Iterator[Change]:
    """The lines that bring about `wanted` for the failing servers, whatever stands elsewhere; with `harm`, why not.

    A plain line does where nothing else names the keyword. Otherwise the line stands under a `Match all` of its own,
    which beats global lines before it and Match blocks after it (and our files come first in their folder).
    """
    servers = {server.subject: server for server in sshd.servers}
    for seen in failing:
        server = servers[seen.subject]
        for keyword, value in wanted.items():
            line = f"{keyword} {value}"
            if all(view.get(keyword) == value for view in server.views()):
                continue
            if obstacle := _obstacle(server):
                todo = f"Set `{line}` by hand in the configuration that server reads."
                yield Blocked(f"Set {line}", obstacle, todo, rule, seen.subject)
            elif harm:
                todo = "Open another way in first (an own account with a key and sudo), then plan again."
                yield Blocked(f"Set {line}", harm, todo, rule, seen.subject)
            elif _named_elsewhere(server, keyword.lower()):
                line = f"Match all\n    {line}"
                yield Setting(OVERRIDE, keyword, line, rule, seen.subject, CHECK, RELOAD)
            else:
                yield Setting(DROP_IN, keyword, line, rule, seen.subject, CHECK, RELOAD)


def _obstacle(server: SshServer) -> str:
    if server.options:
        return f"this server was started with `{server.options}`, which may come before any file of ours"
    if not any(fnmatch(DROP_IN, pattern) for _, pattern in server.includes):
        return f"the server does not include the files of {DROP_IN.rpartition('/')[0]}"
    return ""


def _named_elsewhere(server: SshServer, keyword: str) -> bool:
    lines = (*server.plain, *(line for block in server.blocks for line in block.lines))
    ours = (DROP_IN + ":", OVERRIDE + ":")
    return any(line.keyword == keyword and not line.where.startswith(ours) for line in lines)
