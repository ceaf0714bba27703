"""Facts about accounts, keys, sudo, log-ins and PAM, read from what real programs said, and refused where they said another thing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from wardkeep.core.errors import NotUnderstood
from wardkeep.core.facts import Answer
from wardkeep.facts.accounts import Accounts
from wardkeep.facts.authorized_keys import AuthorizedKeys, read_key
from wardkeep.facts.login_records import LoginRecords
from wardkeep.facts.logins import Logins
from wardkeep.facts.pam import Pam
from wardkeep.facts.shell_timeout import ShellTimeout
from wardkeep.facts.sudoers import Sudoers
from wardkeep.facts.way_in import WayIn


def said(name: str, text: str) -> Answer:
    return Answer(name, 0, (text.strip("\n") + "\n= end\n").encode())


ACCOUNTS = """
= passwd
|root:x:0:0:root:/root:/bin/bash
|alice:x:1000:1000:Alice,,,:/home/alice:
|old:empty:1001:1001::/home/old:/bin/sh
|svc:x:999:999::/srv:/usr/sbin/nologin
= shadow
|root:locked:20000:0:99999:7:::
|alice:y:20000:0:99999:7::20500:
|svc:locked:::::::
= group
|root:x:0:
|alice:x:1000:
|sudo:x:27:alice,bob
= definitions
|UID_MIN 1000
|UID_MAX 60000
"""


def test_an_account_has_its_password_kind_its_days_and_its_groups() -> None:
    accounts = Accounts.parse(said("accounts", ACCOUNTS))
    alice = accounts.named("alice")
    assert alice
    assert (alice.password, alice.changed, alice.expires) == ("y", date(2024, 10, 4), date(2026, 2, 16))
    assert alice.has_shell  # an empty field means /bin/sh
    assert (alice.ended(date(2026, 2, 15)), alice.ended(date(2026, 2, 16))) == (False, True)
    assert accounts.groups_of(alice) == {"alice", "sudo"}
    assert [account.name for account in accounts.people()] == ["root", "alice", "old"]
    old = accounts.named("old")
    assert old
    assert (old.password, old.has_password) == ("empty", True)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("|alice:y:20000", "|alicia:y:20000"),  # in passwd, not in shadow
        ("|root:x:0:0:root:/root:/bin/bash", "|root:x:7:0:root:/root:/bin/bash"),  # nobody has uid 0
        ("|alice:x:1000:1000:Alice", "|alice:x:1000:1000:Al:ice"),
        ("|sudo:x:27:alice,bob", "|sudo:x:alice"),
        ("= group\n", "= groups\n"),
        ("20500", "soon"),
    ],
)
def test_accounts_of_another_form_are_refused(before: str, after: str) -> None:
    assert before in ACCOUNTS
    with pytest.raises(NotUnderstood):
        Accounts.parse(said("accounts", ACCOUNTS.replace(before, after, 1)))


RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCXDHjMzapADx5fEjT8IjFcyDexfFN5N4jt9BcvNtSWgajIYI6H5OrmX+15BS75VE/NGAdmTHLDNHmga3iCPE/"
    "ZrCCOzIGGzFtB9j0NGISqpunnL3ovYqhcrKYlndg6rwgbAFu8wtMlbLNvgZ+1WhKQNuuIaV+nhdl5UHT5ubb5PHpzOahXXz7lo7I5WkfuW89o/K86WeYmFq5"
    "UjruMQd40U0+LYVIvFB5QZJ2Syt9FN8U/ypakZJlPl451+UHlPGolc6+9yteEQ+NIc2I/xfcXccPDX57EzbtDuTHpmLNFhk6RhNyJKwpdjhDUD8Sx4MWLUxC3"
    "7ze5aYsugQz2El8h alice@example.org"
)
ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF4JL4m+pwvdLFnfuWkWW9/7bPB1PEKV8odjwT1gb+2n bob laptop"


# The fingerprints and sizes are those that ssh-keygen -l printed for these two keys.
@pytest.mark.parametrize(
    ("line", "type_", "fingerprint", "bits", "comment"),
    [
        (RSA, "ssh-rsa", "SHA256:i53hS/kXnKrGaxzhgPblpJcju3Rspg/lKRKils2+Djc", 2048, "alice@example.org"),
        (ED25519, "ssh-ed25519", "SHA256:3mDKeRu4kFQ7l8T1LcaYqcndT9hdepKJDTAj8N2+T1E", 0, "bob laptop"),
    ],
)
def test_a_key_is_named_as_ssh_keygen_names_it(
    line: str, type_: str, fingerprint: str, bits: int, comment: str
) -> None:
    key = read_key(line, "alice", "/k:1")
    assert key
    assert (key.type, key.fingerprint, key.bits, key.comment) == (type_, fingerprint, bits, comment)


@pytest.mark.parametrize(
    ("options", "read"),
    [
        ('from="10.0.0.0/8,192.0.2.1"', [("from", "10.0.0.0/8,192.0.2.1")]),
        ('command="echo \\"a b\\", c",no-pty', [("command", 'echo "a b", c'), ("no-pty", "")]),
        ("restrict,pty", [("restrict", ""), ("pty", "")]),
        ('environment="KEY=ssh-rsa AAAA"', [("environment", "KEY=ssh-rsa AAAA")]),
        ("verify-required", [("verify-required", "")]),
    ],
)
def test_options_before_a_key(options: str, read: list[tuple[str, str]]) -> None:
    key = read_key(f"{options} {ED25519}", "alice", "/k:1")
    assert key
    assert list(key.options) == read
    assert key.fingerprint == "SHA256:3mDKeRu4kFQ7l8T1LcaYqcndT9hdepKJDTAj8N2+T1E"


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519",
        "ssh-ed25519 !!!! x",
        "ssh-ed25519 " + RSA.split()[1],  # the blob is of another type than the line says
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIF4J x",
        "ssh-future AAAA x",
        'command="open ssh-ed25519 AAAA',
    ],
)
def test_a_line_that_is_no_key_is_none(line: str) -> None:
    assert read_key(line, "alice", "/k:1") is None


def test_unread_lines_are_kept_and_a_file_open_to_others_is_not_heeded() -> None:
    text = f"""
= command /usr/bin/keys
= authority none
= patterns yes .ssh/authorized_keys
= file alice yes /home/alice/.ssh/authorized_keys
|# comment
|
|{ED25519}
|ssh-future AAAA x
"""
    keys = AuthorizedKeys.parse(said("authorized_keys", text))
    assert [(key.where, key.heeded) for key in keys.of("alice")] == [
        ("/home/alice/.ssh/authorized_keys:3", False)
    ]
    assert keys.unread == (("alice", "/home/alice/.ssh/authorized_keys:4"),)
    assert (keys.commanded, keys.certified) == ("/usr/bin/keys", "")


SUDOERS = """
= rules
|{"Defaults": [{"Options": [{"syslog": false}]}, {"Binding": [{"username": "bob"}], "Options": [{"authenticate": false}]}],
| "User_Specs": [{"User_List": [{"username": "ALL"}, {"username": "carol", "negated": true}, {"usergroup": "ops"}],
|   "Host_List": [{"hostname": "ALL"}],
|   "Cmnd_Specs": [{"runasusers": [{"username": "postgres"}], "Options": [{"authenticate": false}], "Commands": [{"command": "/bin/psql"}]},
|                  {"Commands": [{"command": "ALL"}, {"command": "/bin/sh", "negated": true}]}]}]}
= elsewhere files sss
"""


def test_sudo_rules_keep_their_order_their_negations_and_whom_they_become() -> None:
    rules = Sudoers.parse(said("sudoers", SUDOERS))
    psql, everything = rules.grants
    assert (psql.as_root, psql.asks_password, psql.everything) == (False, False, False)
    assert (everything.as_root, everything.asks_password, everything.everything) == (True, True, True)
    assert everything.commands == ("ALL", "!/bin/sh")
    assert not rules.default("syslog", True)
    assert rules.default("authenticate", True)  # the other holds for bob only
    assert rules.elsewhere == "sss"
    passwd = "\n".join(
        f"|{name}:x:{uid}:{uid}::/h:/bin/sh"
        for name, uid in (("root", 0), ("alice", 1), ("carol", 2), ("dave", 3))
    )
    shadow = "\n".join(f"|{name}:locked:1:0:9:7:::" for name in ("root", "alice", "carol", "dave"))
    text = f"= passwd\n{passwd}\n= shadow\n{shadow}\n= group\n|ops:x:9:carol\n= definitions"
    accounts = Accounts.parse(said("accounts", text))
    assert [a.name for a in accounts.all if everything.covers(a, accounts)] == [
        "root",
        "alice",
        "carol",
        "dave",
    ]
    outsider = Accounts.parse(said("accounts", text.replace("|ops:x:9:carol", "|ops:x:9:dave")))
    assert [a.name for a in outsider.all if everything.covers(a, outsider)] == ["root", "alice", "dave"]


def test_a_host_without_sudo_has_no_rules_and_broken_json_is_refused() -> None:
    assert not Sudoers.parse(said("sudoers", "= absent")).installed
    for text in (
        '= rules\n|{"User_Specs": [',
        "= rules\n|[]",
        '= rules\n|{"User_Specs": [{"User_List": [{"x": 1}]}]}',
    ):
        with pytest.raises((NotUnderstood, KeyError, AttributeError)):
            Sudoers.parse(said("sudoers", text))


LAST = """
= last
|ops      pts/0        10.88.0.1        2026-11-20T09:59:36+00:00   still running
|ops      pts/0        10.88.0.1        2026-11-22T09:59:42+0000  - 2026-11-22T09:59:44+0000   (00:00)
|ops      pts/1        10.88.0.1        2026-11-21T08:00:00+0000  - 2026-11-21T08:00:01+0000   (00:00)
|reboot   system boot  6.18.44          2026-11-01T09:32:19+0000  - still running
|
|wtmpdb begins 2026-10-01T09:32:19+0000
= lastlog
|Username         Port     From                                       Latest
|root                                                                **Never logged in**
|eve              pts/0    10.88.0.1                                 Sun Nov  8 09:59:36 +0000 2026
"""
JOURNAL = """
= journal
|{"__REALTIME_TIMESTAMP":"1793000000000000"}
= sessions
|{"USER_ID":"ops","__REALTIME_TIMESTAMP":"1795400000000000"}
"""


def test_the_newest_log_in_of_all_sources_counts() -> None:
    logins = Logins.parse(said("logins", LAST))
    assert logins.seen == {
        "ops": datetime(2026, 11, 22, 9, 59, 42, tzinfo=UTC),
        "eve": datetime(2026, 11, 8, 9, 59, 36, tzinfo=UTC),
    }
    assert logins.since == datetime(2026, 10, 1, 9, 32, 19, tzinfo=UTC)
    both = Logins.parse(said("logins", LAST + JOURNAL.lstrip("\n")))
    assert both.seen["ops"] == datetime.fromtimestamp(1795400000, UTC)


@pytest.mark.parametrize(
    "text", ["", "= last\n|ops pts/0 Nov 20", "= lastlog\n|Username\n|ops  yesterday", "= last\n|"]
)
def test_no_record_of_log_ins_is_no_fact(text: str) -> None:
    with pytest.raises(NotUnderstood):
        Logins.parse(said("logins", text))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("= tmout yes 900\n= logind t 18446744073709551615", ShellTimeout(900, True, 0)),
        ("= tmout no 0", ShellTimeout(0, False, None)),
        ("= logind t 600000000", ShellTimeout(None, False, 600)),
    ],
)
def test_the_time_until_an_idle_session_ends(text: str, read: ShellTimeout) -> None:
    assert ShellTimeout.parse(said("shell_timeout", text)) == read


PAM = """
= service sshd
|# comment
|@include common-auth
|auth  [success=ok default=die] pam_google_authenticator.so \\
|      nullok
|-session optional pam_systemd.so
|auth substack more
= service common-auth
|auth [success=1 default=ignore] pam_unix.so
= service more
|auth required pam_faillock.so authfail deny=5
|account required pam_permit.so
= faillock
|# deny = 3
|deny = 4
|silent
"""


def test_a_pam_stack_is_read_through_its_includes() -> None:
    pam = Pam.parse(said("pam", PAM))
    assert [(m.name, m.must_succeed) for m in pam.modules("sshd", "auth")] == [
        ("pam_unix.so", False), ("pam_google_authenticator.so", True), ("pam_faillock.so", True),
    ]  # fmt: skip
    assert pam.modules("sshd", "auth")[1].arguments == ("nullok",)
    assert pam.modules("sshd", "account") == ()  # a substack gives only modules of the kind that named it
    assert pam.faillock == {"deny": "4", "silent": ""}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("= service more\n", "= service less\n"),
        ("|auth required", "|auth reqired("),
        ("@include common-auth", "@include gone"),
    ],
)
def test_a_pam_stack_with_a_gap_is_refused(before: str, after: str) -> None:
    with pytest.raises(NotUnderstood):
        Pam.parse(said("pam", PAM.replace(before, after, 1)))


def test_records_in_memory_do_not_last() -> None:
    text = """
= journal 1795342912 tmpfs /var/log/journal/abc
= file 100 1795342912 ext2/ext3 /var/log/auth.log
= now 1795342912
"""
    records = LoginRecords.parse(said("login_records", text))
    assert [journal.lasts for journal in records.journals] == [False]
    assert [record.lasts for record in records.files] == [True]
    with pytest.raises(NotUnderstood):
        LoginRecords.parse(said("login_records", text.replace("= now 1795342912", "")))


@pytest.mark.parametrize("text", ["= in ssh alice", "= in local root"])
def test_the_way_in(text: str) -> None:
    assert WayIn.parse(said("way_in", text)) == WayIn(text.split()[3], "ssh" in text)


@pytest.mark.parametrize("text", ["= in telnet alice", "= in ssh", "alice"])
def test_an_unknown_way_in_is_refused(text: str) -> None:
    with pytest.raises(NotUnderstood):
        WayIn.parse(said("way_in", text))
