"""PostgreSQL clusters as they say of themselves: version, the settings that keep data whole, replication.

Asked over the local socket as the account `postgres`; only SHOW and statistics views are read, never a table of the
customer's. Not seen: clusters in containers, under other accounts, or of other makers' packages without `pg_lsclusters`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Self

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer, Question
from wardkeep.facts.sections import END, QUOTE, Section, sections

SETTINGS = [
    "server_version_num",
    "listen_addresses",
    "ssl",
    "ssl_min_protocol_version",
    "password_encryption",
    "fsync",
    "full_page_writes",
    "data_checksums",
    "archive_mode",
    "synchronous_commit",
    "synchronous_standby_names",
    "log_connections",
]
# The query is made of the names above only. lag: bytes of write-ahead log that the replica has not yet flushed.
QUERY = f"""
SELECT 'setting ' || name || '=' || setting FROM pg_settings WHERE name IN ({", ".join(f"'{n}'" for n in SETTINGS)})
  ORDER BY name;
SELECT 'recovery ' || pg_is_in_recovery();
SELECT 'replica ' || state || ' ' || sync_state || ' ' || coalesce(pg_wal_lsn_diff(sent_lsn, flush_lsn)::bigint, -1) || ' '
  || coalesce(host(client_addr), 'local') || ' ' || application_name FROM pg_stat_replication;
SELECT 'receiver ' || status FROM pg_stat_wal_receiver;
SELECT 'failed_archives ' || failed_count || ' ' || archived_count FROM pg_stat_archiver;
"""  # noqa: S608
SCRIPT = (
    QUOTE
    + r"""
if ! command -v pg_lsclusters >/dev/null; then
  for file in /usr/lib/postgresql/*/bin/postgres; do
    [ -e "$file" ] && { echo 'a server is installed without pg_lsclusters' >&2; exit 1; }
  done
  printf '= none\n= end\n'
  exit 0
fi
list=$(pg_lsclusters -h) || exit 1
[ "$list" ] || { printf '= none\n= end\n'; exit 0; }
printf '%s\n' "$list" | while read -r version name port status owner folder log; do
  printf '= cluster %s %s %s %s\n' "$version" "$name" "$port" "${status%%,*}"
  case $status in online*) ;; *) continue ;; esac
  socket=$(sed -n 5p "$folder/postmaster.pid" 2>/dev/null)
  told=$(runuser -u "$owner" -- psql -XAtq -v ON_ERROR_STOP=1 -h "${socket:-/var/run/postgresql}" -p "$port" -d postgres \
    -c "SET default_transaction_read_only = on" -f - <<'SQL'
"""
    + QUERY
    + r"""
SQL
  ) || { echo "$version/$name does not answer" >&2; printf '= refused\n'; break; }
  printf '%s\n' "$told" | quote
done
"""
    + END
)
REPLICA = re.compile(r"(?P<state>\w+) (?P<sync>\w+) (?P<lag>-?\d+) (?P<address>\S+) (?P<name>.*)")


@dataclass(frozen=True, slots=True)
class Replica:
    """A standby as its primary sees it. `lag` is in bytes; -1 where the primary does not know it."""

    name: str
    address: str
    state: str  # "streaming", "catchup", "backup"
    sync: str  # "async", "sync", "quorum", "potential"
    lag: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """A PostgreSQL cluster (one server). `settings` are the values in force; empty while it is down."""

    major: int
    name: str
    port: int
    online: bool
    settings: tuple[tuple[str, str], ...] = ()
    standby: bool = False
    receiving: bool = False
    replicas: tuple[Replica, ...] = ()
    failed_archives: int = 0
    archived: int = 0

    @property
    def subject(self) -> str:
        return f"postgresql:{self.major}/{self.name}"

    def get(self, name: str) -> str:
        return dict(self.settings)[name]


@dataclass(frozen=True, slots=True)
class Postgres:
    ask: ClassVar[Question] = Question("postgresql", SCRIPT)
    clusters: tuple[Cluster, ...]

    @classmethod
    def parse(cls, answer: Answer) -> Self:
        found = list(sections(answer))
        if [s.name for s in found] == ["none"]:
            return cls(())
        if not found or any(section.name != "cluster" for section in found):
            raise NotUnderstood("a cluster did not answer as expected", where=answer.question)
        return cls(tuple(_cluster(section) for section in found))


def _cluster(section: Section) -> Cluster:
    version, name, port, status = section.words(4)
    if not (version.isdigit() and port.isdigit()):
        raise NotUnderstood(f"`{section.about}` is no cluster of PostgreSQL 10 or later")
    settings, replicas = dict[str, str](), list[Replica]()
    recovery, receiving, failed, archived = "", False, -1, -1
    for line in section.lines:
        word, _, rest = line.partition(" ")
        if word == "setting":
            key, _, value = rest.partition("=")
            settings[key] = value
        elif word == "recovery":
            recovery = rest
        elif word == "replica" and (match := REPLICA.fullmatch(rest)):
            replicas.append(
                Replica(match["name"], match["address"], match["state"], match["sync"], int(match["lag"]))
            )
        elif word == "receiver":
            receiving = rest == "streaming"
        elif word == "failed_archives" and re.fullmatch(r"\d+ \d+", rest):
            failed, archived = map(int, rest.split())
        else:
            raise NotUnderstood(f"`{line[:60]}` was not asked of a cluster")
    online = status.startswith("online")
    if online and (recovery not in ("true", "false") or failed < 0 or set(settings) != set(SETTINGS)):
        raise NotUnderstood(f"cluster {version}/{name} did not tell everything")
    return Cluster(
        int(version),
        name,
        int(port),
        online,
        tuple(sorted(settings.items())),
        recovery == "true",
        receiving,
        tuple(replicas),
        max(failed, 0),
        max(archived, 0),
    )
