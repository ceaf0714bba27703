"""The story of the clinic, in order. What a step claims is looked at before the next one is played (`claims`)."""

from __future__ import annotations

from wardkeep.demo.claims import Counter, fail_on, pass_on, prints, prints_no, row_is
from wardkeep.demo.telling import Act, Step

# What is refused is dropped, so the neighbour waits that long: no longer than a story bears, no shorter than a slow machine needs.
READ_DATABASE = "psql 'host=db-1 user=reporting dbname=clinic connect_timeout=10' -c 'select name, diagnosis from patients'"
GUESS = (
    "sshpass -p clinic ssh -o StrictHostKeyChecking=no -o ConnectTimeout=10 root@db-1 'echo in as $(id -un)'"
)
INJECT = 'curl -sS -m 10 "http://web-1:8080/record?id=1&pin=\'+or+true+--"'
HEALTH = "curl -sS -m 10 http://web-1:8080/health"
EXPORT = "ls -l /var/lib/clinic-export/patients.csv"
PATIENT = "Mara Lindqvist"

OPEN = ("firewall.default_deny", "firewall.only_named_ports_open")
PATCH = "security_patching.no_update_is_pending"
ROOT = ("system_access.no_root_login", "system_access.no_password_login")


def story(whole: bool = True) -> tuple[Act, ...]:
    """All acts; when not `whole`, those that hosts without systemd can show.

    Names in angle brackets are filled in when a step is played.
    """
    if whole:
        return (before(), looking(), planning(), green(), attack(), patches(), evidence())
    return (before(False), looking(False), patches(False), evidence())


def before(whole: bool = True) -> Act:
    guess = Step("root may log in by a password, opened once for a move. It can be guessed.", (GUESS,), (
        prints("in as root", "The neighbour is root on the database's host."),), on="neighbour")  # fmt: skip
    return Act(
        "A clinic, and a neighbour",
        "web-1 serves the patients' portal, db-1 has its PostgreSQL. Both run, and nobody has looked at them since. "
        "The neighbour is in the same network, and tries what comes to mind.",
        (
            Step("The database lets an old reporting account in, from anywhere.", (READ_DATABASE,), (
                prints(PATIENT, "The neighbour has read the patients."),), on="neighbour"),
            *([guess] if whole else []),
            Step("The portal puts what it is given into its query.", (INJECT,), (
                prints(PATIENT, "The portal gives every record, without a PIN."),), on="neighbour"),
        ),
    )  # fmt: skip


def looking(whole: bool = True) -> Act:
    red = (*OPEN, *(ROOT if whole else ()), PATCH)
    return Act(
        "Red",
        "The platform takes the two hosts in. A host's key is pinned to the fingerprint that was read on the host itself. "
        "Looking changes nothing there.",
        (
            Step("", ("host", "add", "db-1", "<db_url>", "--identity", "<key>", "--fingerprint", "<db_key>")),
            Step("", ("host", "add", "web-1", "<web_url>", "--identity", "<key>", "--fingerprint", "<web_key>")),
            Step("", ("check",), (fail_on("db-1", *red), fail_on("web-1", *red)), exits=(1,), most=50),
            Step("The matrix: one line for each of 25 responsibilities, what needs somebody first.", ("status",), (
                row_is("firewall", "fail"), row_is("system_access", "fail"), row_is("security_patching", "fail")),
                exits=(1,), most=100),
            Step("The console shows the same in the browser. It stays open beside the story.", (
                "up", "--listen", "127.0.0.1:<port>"), (
                prints("/sign-in/link?token=", "The console has printed a link to sign in once."),),
                until="Sign in once", most=0),
        ),
    )  # fmt: skip


def planning() -> Act:
    return Act(
        "Plan, then apply",
        "A plan is shown first and changes nothing. What is applied is exactly that plan. A change that could lock the "
        "operator out is taken back by the host itself unless a new connection confirms it.",
        (
            Step("", ("plan", "db-1", "firewall", "system_access"), exits=(1,), most=80),
            Step("", ("apply", "<plan>", "--yes"), (pass_on("db-1", *OPEN, *ROOT),), most=1, last=30),
            Step("", ("plan", "web-1", "firewall", "system_access"), exits=(1,), most=1),
            Step("", ("apply", "<plan>", "--yes"), (pass_on("web-1", *OPEN, *ROOT),), most=1, last=4),
        ),
    )


def green() -> Act:
    return Act(
        "Green",
        "The hosts are asked again, and then the controls are exercised: a drill tries what must not be possible.",
        (
            Step("", ("check", "firewall", "system_access"), (
                row_is("firewall", "pass"), row_is("system_access", "pass"))),
            Step("", ("drill", "firewall", "system_access", "--host", "db-1"), most=40),
        ),
    )  # fmt: skip


def attack() -> Act:
    refused, banned = Counter("refused"), Counter("banned")
    count = "nft list counter inet wardkeep"
    return Act(
        "Attacked again: seen, and blocked",
        "The neighbour tries the same things once more. The platform's own table counts what it refuses, and db-1's journal has "
        "kept the first visit.",
        (
            Step("", ("journalctl -q -o cat -t sshd -t sshd-session -g 'Accepted password for root'",), (
                prints("Accepted password for root from 10.77.", "The first log-in as root is on record, with its address."),),
                on="db-1"),
            Step("", (f"{count} refused",), (refused.noted("So many packets were refused until now."),), on="db-1"),
            Step("", (READ_DATABASE,), (
                prints_no(PATIENT, "The neighbour reads nothing from the database."),), on="neighbour", exits=(2,)),
            Step("", (GUESS,), (
                prints_no("in as root", "The neighbour does not get in."),), on="neighbour", exits=(255,)),
            Step("", (f"{count} refused",), (
                refused.has_grown("It was seen: the firewall of db-1 has refused more packets since."),), on="db-1"),
            Step("The portal is open to everybody, so no firewall helps there: its flaw is still open.", (INJECT,), (
                prints(PATIENT, "The portal still gives every record."),), on="neighbour"),
            Step("", (f"{count} banned",), (banned.noted("Nobody was banned until now."),), on="web-1"),
            Step("Until it is fixed, the operator bans the neighbour, for an hour, in a set that the table has for that.", (
                "nft add element inet wardkeep banned4 '{ <neighbour> timeout 1h }'",), on="web-1"),
            Step("", (INJECT,), (
                prints_no(PATIENT, "The neighbour gets no answer."),), on="neighbour", exits=(28,)),
            Step("", (f"{count} banned",), (
                banned.has_grown("The firewall of web-1 has counted the banned packets."),), on="web-1"),
            Step("For everybody else the portal works: asked from db-1.", (HEALTH,), (
                prints("ok: 6 patients", "The portal reads its database through the firewall."),), on="db-1"),
        ),
    )  # fmt: skip


def patches(whole: bool = True) -> Act:
    apply, now_holds = ("apply", "<plan>", "--yes"), (pass_on("db-1", PATCH), pass_on("web-1", PATCH))
    lift = Step("The ban is lifted: the fix must hold without it.", (
        "nft delete element inet wardkeep banned4 '{ <neighbour> }'",), on="web-1")  # fmt: skip
    rows = ("firewall", "system_access", "security_patching") if whole else ()
    return Act(
        "A wave of patches",
        "Fixes for the portal and for the nightly export are on offer: packages of this demo, in an archive on the hosts "
        "themselves that is marked as Debian's security archive is. First db-1, then web-1.",
        (
            Step("The export is readable for every account of the host.", (EXPORT,), (
                prints("-rw-r--r--", "Everybody on db-1 may read the patients."),), on="db-1"),
            Step("", ("plan", "db-1", "security_patching"), exits=(1,)),
            Step("", apply, (now_holds[0],), most=6, last=6),
            Step("", (EXPORT,), (prints("-rw-------", "The export is for its own account only."),), on="db-1"),
            Step("", ("plan", "web-1", "security_patching"), exits=(1,)),
            Step("", apply, (now_holds[1],), most=6, last=6),
            *([lift] if whole else []),
            Step("", (INJECT,), (
                prints("no record for this id and PIN", "The portal gives nothing without the PIN."),
                prints_no(PATIENT, "No patient is in the answer."),), on="neighbour"),
            Step("", ("check", "security_patching"), now_holds, exits=(0,) if whole else (0, 1, 3)),
            Step("What is green now, what is still red, and what nobody has built yet.", ("status",), tuple(
                row_is(row, "pass") for row in rows), exits=(1,), most=100),
        ),
    )  # fmt: skip


def evidence() -> Act:
    return Act(
        "Evidence",
        "Every look, plan, change and drill of this story is an entry in a ledger. An auditor takes it away in one file and "
        "verifies it with a key that came by another way, without this platform and without trusting it.",
        (
            Step("", ("evidence", "export", "--out", "<folder>/clinic.tar.gz")),
            Step("", ("evidence", "verify", "<folder>/clinic.tar.gz", "--key", "<verifier>"), most=40),
        ),
    )  # fmt: skip
