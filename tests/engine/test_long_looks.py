"""Looks that are too dear for every cycle: kept, laid into the cycles with their age, renewed one by one, and never mistaken for clean."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlalchemy import update

from wardkeep.controls import control
from wardkeep.core.errors import BadInput, Unavailable
from wardkeep.core.facts import Answer, Snapshot
from wardkeep.core.findings import Finding
from wardkeep.engine.assess import long_questions, questions
from wardkeep.engine.cycle import check
from wardkeep.engine.hosts import add_host, list_hosts
from wardkeep.engine.index import rebuild_index
from wardkeep.engine.long_looks import INSIDE, look_outside, looks_due, record_look, with_kept
from wardkeep.engine.platform import Platform, open_platform
from wardkeep.engine.workers import plan_host
from wardkeep.facts.outside_ports import OutsidePorts
from wardkeep.facts.package_sums import PackageSums
from wardkeep.fleet import Host
from wardkeep.fleet.outside import Tried, look, read_ports
from wardkeep.store.schema import hosts

ACTOR = "operator:test"
ANSWERS = Path(__file__).parents[1] / "facts" / "answers"
ROW = control("vm_scans")


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    with open_platform(tmp_path / "state", create=True) as made:
        made.controls = (ROW,)
        folder = Path(__file__).parents[1] / "hosts" / "debian12-fresh"
        add_host(made, Host(name="h1", url=f"recorded:{folder}"), ACTOR)
        yield made


def answer(name: str, state: str = "debian12-server") -> Answer:
    return Answer(name, 0, (ANSWERS / f"{name}-{state}.txt").read_bytes())


def seen(platform: Platform, rule: str) -> list[Finding]:
    found = check(platform, ACTOR, hosts=list_hosts(platform)).findings
    return [one for one in found if one.rule == f"vm_scans.{rule}"]


def test_long_questions_are_in_no_ordinary_round() -> None:
    asked = {question.id for question in questions([ROW], "host")}
    long = {question.id for question in long_questions([ROW])}
    assert long == {"file_tree", "imported_scans", "outside_ports", "package_sums"}
    assert not asked & long


def test_a_look_that_was_never_done_is_unknown_and_says_how_to_do_it(platform: Platform) -> None:
    (one,) = seen(platform, "packages_unchanged")
    assert one.verdict == "unknown"
    assert "`wardkeep scan host h1` does it now" in one.seen
    (one,) = seen(platform, "outside_tls_good")
    assert "`wardkeep scan ports h1` does it now" in one.seen


def test_a_kept_look_stands_in_every_cycle_until_the_next(platform: Platform) -> None:
    now = datetime.now(UTC)
    record_look(platform, ACTOR, INSIDE, Snapshot("h1", now, {"package_sums": answer("package_sums")}))
    assert {one.subject: one.verdict for one in seen(platform, "packages_unchanged")}["host"] == "pass"
    bad = Snapshot("h1", now, {"package_sums": answer("package_sums", "debian12-neglected")})
    record_look(platform, ACTOR, INSIDE, bad)
    assert "fail" in {one.verdict for one in seen(platform, "packages_unchanged")}
    rebuild_index(platform)
    assert "fail" in {one.verdict for one in seen(platform, "packages_unchanged")}


def test_a_plan_knows_what_was_kept(platform: Platform) -> None:
    bad = Snapshot("h1", datetime.now(UTC), {"package_sums": answer("package_sums", "debian12-neglected")})
    record_look(platform, ACTOR, INSIDE, bad)
    plan = asyncio.run(plan_host(platform, list_hosts(platform)[0], [ROW], ACTOR)).plan
    assert "vm_scans.packages_unchanged" in {one.rule for one in plan.cannot}
    assert "vm_scans.packages_unchanged" not in {one.rule for one in plan.unknown}
    (never,) = (one for one in plan.unknown if one.rule == "vm_scans.set_id_in_place")
    assert "`wardkeep scan host h1` does it now" in never.reason


def test_a_look_at_one_thing_does_not_forget_the_other(platform: Platform) -> None:
    early = datetime.now(UTC) - timedelta(days=3)
    record_look(platform, ACTOR, INSIDE, Snapshot("h1", early, {"package_sums": answer("package_sums")}))
    now = datetime.now(UTC)
    record_look(platform, ACTOR, INSIDE, Snapshot("h1", now, {"file_tree": answer("file_tree")}))
    entry = list(platform.ledger.read())[-1]
    assert entry["body"]["questions"] == ["file_tree"]
    assert datetime.fromisoformat(entry["body"]["looked"]["package_sums"]) == early.replace(microsecond=early.microsecond // 1000 * 1000)  # fmt: skip
    kept = with_kept(platform, [Snapshot("h1", now, {})], [ROW])[0]
    assert isinstance(kept.learn(PackageSums), PackageSums)
    cut = Answer("file_tree", None, b"", whole=False, problem="did not end within 600 s")
    record_look(platform, ACTOR, INSIDE, Snapshot("h1", now, {"file_tree": cut}))
    kept = with_kept(platform, [Snapshot("h1", now, {})], [ROW])[0]
    assert kept.answers["file_tree"].whole
    fresh = Snapshot("h1", now, {"file_tree": cut})
    assert with_kept(platform, [fresh], [ROW])[0].answers["file_tree"] == cut


def test_a_host_that_was_added_anew_does_not_inherit_looks(platform: Platform) -> None:
    before = datetime.now(UTC)
    record_look(platform, ACTOR, INSIDE, Snapshot("h1", before, {"package_sums": answer("package_sums")}))
    with platform.store.begin() as connection:
        connection.execute(update(hosts).values(added=datetime.now(UTC) + timedelta(seconds=5)))
    kept = with_kept(platform, [Snapshot("h1", before, {})], [ROW])[0]
    assert not kept.answers["package_sums"].whole


def test_looks_are_due_one_by_one(platform: Platform) -> None:
    add_host(platform, Host(name="h2", url="local:"), ACTOR)
    now = datetime.now(UTC)
    assert looks_due(platform, now) == {}  # just added, and a recording is never asked
    later = now + timedelta(hours=1)
    assert {ask.id for ask in looks_due(platform, later)["h2"]} == {"file_tree", "package_sums"}
    both = {name: answer(name) for name in ("file_tree", "package_sums")}
    record_look(platform, ACTOR, INSIDE, Snapshot("h2", now, both))
    assert looks_due(platform, later) == {}
    assert [ask.id for ask in looks_due(platform, now + timedelta(hours=7))["h2"]] == ["file_tree"]
    assert len(looks_due(platform, now + timedelta(days=8))["h2"]) == 2


def test_ports_are_read_as_people_write_them() -> None:
    assert read_ports("22, 80,8000-8002") == (22, 80, 8000, 8001, 8002)
    for bad in ("", "x", "0", "70000", "9-3", "1-", "²"):
        with pytest.raises(BadInput):
            read_ports(bad)


def certificate(days: int) -> bytes:
    """A key and a certificate of its own signing, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, plain) + made.public_bytes(
        serialization.Encoding.PEM
    )


def listening(family: socket.AddressFamily, address: str) -> socket.socket:
    made = socket.socket(family)
    made.bind((address, 0))
    made.listen()
    return made


def test_open_closed_and_tls_are_told_apart(tmp_path: Path) -> None:
    pem = tmp_path / "both.pem"
    pem.write_bytes(certificate(days=9))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    async def run() -> dict[int, Tried]:
        async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        secure = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
        plain = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        shut = socket.socket()  # held, so that nobody else takes it, and not listening
        shut.bind(("127.0.0.1", 0))
        gone = shut.getsockname()[1]
        ports = {
            "tls": secure.sockets[0].getsockname()[1],
            "plain": plain.sockets[0].getsockname()[1],
            "gone": gone,
        }
        async with secure, plain:
            found = await look(["127.0.0.1"], ports.values(), wait=60, tls_wait=60)
        shut.close()
        return {name: one for name in ports for one in found if one.port == ports[name]}  # type: ignore[misc]

    told = asyncio.run(run())
    assert told["tls"].state == "open"
    assert told["tls"].tls == "TLSv1.3"
    assert told["tls"].until is not None
    assert (told["tls"].until - datetime.now(UTC)).days in (8, 9)
    assert (told["plain"].state, told["plain"].tls) == ("open", "")
    assert told["gone"].state == "closed"


def test_a_host_of_which_nothing_is_seen_is_not_a_closed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def dead(address: str, port: int, wait: float) -> Tried:
        return Tried(address, "ip", port, "silent")

    monkeypatch.setattr("wardkeep.fleet.outside._try", dead)
    with pytest.raises(Unavailable, match="cannot be seen from here"):
        asyncio.run(look(["192.0.2.1"], [22, 80]))


def test_what_answers_from_outside_is_recorded_with_its_host(platform: Platform) -> None:
    with listening(socket.AF_INET, "127.0.0.1") as open_port:
        number = open_port.getsockname()[1]
        # Nobody speaks ssh there, so the host's own list is not known; what answers is seen all the same.
        host = Host(name="h2", url=f"ssh://root@127.0.0.1:{number}")
        add_host(platform, host, ACTOR)
        found, snapshot = asyncio.run(look_outside(platform, ACTOR, host, [number], rate=5000, wait=60))
    assert (found.open, found.tried, found.addresses) == ((number,), 1, ("127.0.0.1",))
    assert snapshot.problem
    entry = list(platform.ledger.read())[-1]
    assert (entry["kind"], entry["subject"]["host"]) == ("scan-outside", "h2")
    kept = with_kept(platform, [Snapshot("h2", datetime.now(UTC), {})], [ROW])[0]
    assert kept.learn(OutsidePorts) == found


def test_recordings_and_hosts_behind_others_are_refused(platform: Platform) -> None:
    with pytest.raises(BadInput, match="is a recording"):
        asyncio.run(look_outside(platform, ACTOR, list_hosts(platform)[0], rate=100))
    behind = Host(name="h3", url="ssh://root@192.0.2.1", jump="ssh://root@192.0.2.2")
    with pytest.raises(BadInput, match="reached through another host"):
        asyncio.run(look_outside(platform, ACTOR, behind, rate=100))
