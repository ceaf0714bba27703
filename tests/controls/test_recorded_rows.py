"""What each row says of hosts as they really answered: fresh, neglected and set up, and of edited answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from recorded_rows import NOW, held, snapshot, text_of, told, verdicts

from wardkeep.controls import control
from wardkeep.core.changes import Act
from wardkeep.core.findings import Verdict
from wardkeep.core.profiles import HIPAA
from wardkeep.engine.assess import remedies
from wardkeep.engine.config import default_policy


def test_keys_that_others_can_read_are_found_and_closed_without_taking_them_from_services() -> None:
    seen = told("keys", "key_files-debian12-neglected")
    assert (
        seen["private_keys_closed key:/etc/nginx/tls/ehr.key"]
        == "fail: 0644 root:root: everybody may open it"
    )
    assert seen["private_keys_closed key:/etc/nginx/tls/odd name.key"].endswith("the group adm may read it")
    assert seen["service_keys_young key:/etc/nginx/tls/ehr.key"].startswith("fail")
    assert seen["service_keys_young key:/etc/nginx/tls/ehr.key"].endswith("689 days ago")
    assert seen["host_keys_strong key:/etc/ssh/ssh_host_rsa_key.pub"] == "pass: RSA, 3072 bits"
    made = control("keys")
    given = snapshot("keys", "key_files-debian12-neglected")
    changes = [
        c
        for _, _, told in remedies(made, given, default_policy(made, HIPAA.numbers))
        if isinstance(told, list)
        for c in told
    ]
    acts = {c.script: c.undo for c in changes if isinstance(c, Act)}
    assert acts == {
        "chmod 0640 -- /etc/nginx/tls/ehr.key": "chmod 0644 -- /etc/nginx/tls/ehr.key",
        "chmod 0600 -- '/etc/nginx/tls/odd name.key'": "chmod 0640 -- '/etc/nginx/tls/odd name.key'",
    }


def test_a_key_for_services_is_closed_enough_and_a_short_host_key_is_not() -> None:
    assert set(verdicts("keys", "key_files-debian13-server").values()) == {"pass"}
    weak = (
        text_of("key_files-debian13-server")
        .replace("3072 (RSA)", "1024 (RSA)")
        .replace("256 (ECDSA)", "1024 (DSA)")
    )
    seen = verdicts("keys", key_files=weak)
    assert seen["host_keys_strong key:/etc/ssh/ssh_host_rsa_key.pub"] == "fail"
    assert seen["host_keys_strong key:/etc/ssh/ssh_host_ecdsa_key.pub"] == "fail"


SERVICES, JOBS = "services-debian12-neglected", "backup_jobs-debian12-neglected"


def test_backup_jobs_are_judged_by_how_they_ended() -> None:
    seen = told("backups", SERVICES, JOBS)
    assert (
        seen["backup_job_exists job:restic-ehr.service"]
        == "pass: restic-ehr.service, started by restic-ehr.timer"
    )
    assert seen["newest_backup_is_fresh job:restic-ehr.service"].startswith("pass")
    assert seen["backup_job_exists job:borg-files.service"].startswith("fail")
    failed = seen["newest_backup_is_fresh job:borg-files.service"]
    assert failed.startswith("fail")
    assert failed.endswith("with exit-code")
    assert seen["newest_backup_is_fresh job:cron:/etc/cron.daily/backup-srv:restic"].startswith("unknown")


def test_a_backup_grows_too_old_and_no_job_is_no_backup() -> None:
    later = verdicts("backups", SERVICES, JOBS, at=NOW + timedelta(hours=23))
    assert later["newest_backup_is_fresh job:restic-ehr.service"] == "fail"
    kept = verdicts("backups", SERVICES, JOBS, at=NOW + timedelta(hours=23), policy={"age_hours": 48})
    assert kept["newest_backup_is_fresh job:restic-ehr.service"] == "pass"
    none = verdicts("backups", "services-debian13-server", "backup_jobs-debian13-server")
    assert none == {"backup_job_exists host": "fail", "newest_backup_is_fresh host": "fail"}


def test_the_operators_own_unit_counts_as_a_backup() -> None:
    seen = verdicts("backups", SERVICES, JOBS, policy={"units": frozenset({"unattended-upgrades"})})
    assert seen["backup_job_exists job:unattended-upgrades.service"] == "pass"
    assert seen["newest_backup_is_fresh job:unattended-upgrades.service"] == "unknown"


def test_room_is_judged_by_the_scarcer_of_space_and_inodes() -> None:
    assert set(
        verdicts("system_monitoring", "resources-debian13-server", "services-debian13-server").values()
    ) == {"pass"}
    full = text_of("resources-debian13-server").replace("239841", "20000")
    seen = told("system_monitoring", "services-debian12-lab", resources=full)
    assert seen["disks_have_room mount:/"].startswith("fail: 7 % free")
    assert seen["is_measured host"].startswith("fail")
    seen = verdicts(
        "system_monitoring",
        "services-debian13-server",
        "resources-debian13-server",
        policy={"memory_free_percent": 99},
    )
    assert seen["memory_has_room memory"] == "fail"


def test_sensors_bans_and_the_audit_trail() -> None:
    seen = verdicts("intrusion_prevention", "services-debian13-server")
    assert seen == {
        "sensor_runs host": "fail",
        "bans_run service:fail2ban.service": "pass",
        "audit_runs service:auditd.service": "pass",
    }
    dead = text_of("services-debian13-server").split("|\n")
    dead = [u.replace("=active", "=failed") if "Id=auditd.service" in u else u for u in dead]
    seen = verdicts("intrusion_prevention", services="|\n".join(dead))
    assert seen["audit_runs service:auditd.service"] == "fail"
    assert set(verdicts("intrusion_prevention", "services-debian12-lab").values()) == {"fail"}


def test_a_script_that_has_exited_is_not_running_though_systemd_calls_it_active() -> None:
    text = text_of("services-debian13-server").split("|\n")
    text = [u.replace("=running", "=exited") if "Id=fail2ban.service" in u else u for u in text]
    assert (
        verdicts("intrusion_prevention", services="|\n".join(text))["bans_run service:fail2ban.service"]
        == "fail"
    )


def test_a_silent_sensor_fails_after_a_day() -> None:
    assert set(verdicts("intrusion_analysis", "sensor_logs-debian13-server").values()) == {"pass"}
    later = verdicts("intrusion_analysis", "sensor_logs-debian13-server", at=NOW + timedelta(days=1))
    assert set(later.values()) == {"fail"}
    empty = text_of("sensor_logs-debian13-server").replace(" 133304", " 0")
    assert verdicts("intrusion_analysis", sensor_logs=empty)["sensors_write log:audit"] == "fail"
    assert verdicts("intrusion_analysis", "sensor_logs-debian12-lab") == {"sensors_write host": "fail"}


LISTENERS = "listeners-busy"


def test_certificates_and_old_tls_are_judged_on_what_a_real_server_presented() -> None:
    seen = told("traffic_encryption", "tls_services-four-services", LISTENERS)
    assert (
        seen["certificates_valid port:tcp/8443"]
        == "fail: CN = ehr.example.org, until 2026-12-12: 19 days left"
    )
    assert seen["certificates_valid port:tcp/6514"].startswith("unknown")
    assert seen["no_old_tls port:tcp/9443"] == "fail: TLS 1.0 accepted, TLS 1.1 accepted"
    assert seen["no_old_tls port:tcp/8443"] == "pass: TLS 1.0 refused, TLS 1.1 refused"
    strict = verdicts(
        "traffic_encryption", "tls_services-four-services", LISTENERS, policy={"tls_at_least": "1.3"}
    )
    assert strict["no_old_tls port:tcp/8443"] == "fail"
    assert strict["no_old_tls port:tcp/636"] == "pass"
    ended = held(
        "traffic_encryption",
        snapshot("traffic_encryption", "tls_services-four-services", at=NOW + timedelta(days=30)),
    )
    assert {f.severity.value for f in ended if "ended" in f.seen} == {"critical"}


def test_clear_services_are_named_and_can_be_allowed() -> None:
    web = '|tcp LISTEN 0 511 0.0.0.0:80 0.0.0.0:* users:(("nginx",pid=7,fd=6))\n'
    text = text_of(LISTENERS).replace("= sockets\n", "= sockets\n" + web)
    seen = told("traffic_encryption", "tls_services-debian12-lab", listeners=text)
    assert seen["no_clear_service port:tcp/80"] == "fail: HTTP by nginx listens on more than loopback"
    seen = verdicts(
        "traffic_encryption",
        "tls_services-debian12-lab",
        listeners=text,
        policy={"clear_ports": frozenset({80})},
    )
    assert seen["no_clear_service port:tcp/80"] == "pass"


def test_altered_and_set_id_programs() -> None:
    seen = verdicts("vm_scans", "programs-debian12-neglected")
    assert {key: word for key, word in seen.items() if word != "unknown"} == {
        "programs_unchanged file:/usr/bin/expiry": "fail",
        "programs_unchanged file:/usr/bin/newgrp": "fail",
        "set_id_owned file:/usr/local/bin/sh2": "fail",
    }
    named = verdicts(
        "vm_scans",
        "programs-debian12-neglected",
        policy={"set_id_programs": frozenset({"/usr/local/bin/sh2"})},
    )
    assert named["set_id_owned host"] == "pass"
    seen = verdicts("vm_scans", "programs-debian13-server")
    assert seen["programs_unchanged host"] == seen["set_id_owned host"] == "pass"


DATABASE = ("postgresql-debian13-server", "services-debian12-lab", LISTENERS)


def test_database_versions_end_and_settings_are_read_from_the_engine() -> None:
    seen = told("database_engine", *DATABASE)
    assert seen["engines_supported postgresql:17/main"] == "pass: PostgreSQL 17, supported until 2029-11-08"
    assert seen["engine_keeps_data_whole postgresql:17/main"].endswith("data_checksums = off")
    assert seen["engine_keeps_data_whole postgresql:17/main"].startswith("fail")
    assert seen["engine_asks_for_modern_passwords postgresql:17/main"].startswith("pass")
    later = verdicts("database_engine", *DATABASE, at=NOW.replace(year=2031))
    assert later["engines_supported postgresql:17/main"] == "fail"
    old = text_of("postgresql-debian13-server").replace("cluster 17", "cluster 9")
    assert (
        verdicts("database_engine", *DATABASE[1:], postgresql=old)["engines_supported postgresql:9/main"]
        == "unknown"
    )


def test_an_engine_that_is_only_seen_is_never_passed() -> None:
    redis = verdicts("database_engine", "postgresql-debian12-none", "services-debian13-server", LISTENERS)
    assert redis["engines_supported service:redis-server.service"] == "unknown"
    hidden = verdicts("database_engine", "postgresql-debian12-none", "services-debian12-lab", LISTENERS)
    assert hidden["engine_keeps_data_whole port:tcp/5432"] == "unknown"


def test_a_database_on_every_address_fails() -> None:
    assert verdicts("database_engine", *DATABASE)["engines_not_open port:tcp/5432"] == "pass"
    wide = text_of(LISTENERS).replace("127.0.0.1:5432", "0.0.0.0:5432")
    assert (
        verdicts("database_engine", *DATABASE[:2], listeners=wide)["engines_not_open port:tcp/5432"] == "fail"
    )


def test_a_replica_on_the_same_machine_is_no_second_copy() -> None:
    name = "postgresql-debian12-replicated"
    assert verdicts("replication", name)["clusters_replicated postgresql:15/main"] == "fail"
    away = text_of(name).replace("async 0 local", "async 0 10.0.0.7")
    assert verdicts("replication", postgresql=away)["clusters_replicated postgresql:15/main"] == "pass"
    behind = text_of(name).replace("async 0 local", "async 99000000 10.0.0.7")
    assert verdicts("replication", postgresql=behind)["clusters_replicated postgresql:15/main"] == "fail"
    assert (
        verdicts("replication", postgresql=behind, policy={"lag_mib": 100})[
            "clusters_replicated postgresql:15/main"
        ]
        == "pass"
    )
    cut_off = text_of(name).replace("receiver streaming", "receiver stopping")
    assert verdicts("replication", postgresql=cut_off)["clusters_replicated postgresql:15/standby"] == "fail"
    assert verdicts("replication", "postgresql-debian12-none") == {"clusters_replicated host": "unknown"}


def test_images_grow_old() -> None:
    young = verdicts("base_images", "containers-three-running")
    assert set(young.values()) == {"pass"}
    old = verdicts("base_images", "containers-three-running", at=NOW + timedelta(days=31))
    assert set(old.values()) == {"fail"}
    gone = text_of("containers-three-running").replace(
        '"2026-11-22T09:54:48.265298294Z" ["localhost/wardkeep-lab/trixie:ef4cbd2bac95"]', "gone"
    )
    assert verdicts("base_images", containers=gone)["images_young container:podman:ehr-worker"] == "unknown"


@pytest.mark.parametrize("row", ["encryption_at_rest", "keys", "backups", "vm_scans", "log_archive"])
def test_a_host_that_answers_nothing_passes_nothing(row: str) -> None:
    found: list[Any] = held(row, snapshot(row))
    assert {f.verdict for f in found} == {Verdict.UNKNOWN}
