"""Where log lines go, in both languages of rsyslog, and what is not read."""

from __future__ import annotations

import pytest
from recorded_rows import text_of, told, verdicts

from wardkeep.core.facts import Answer
from wardkeep.facts.log_shipping import LogShipping

SERVICES, JOBS = "services-debian12-neglected", "backup_jobs-debian12-neglected"


def test_forwarding_to_this_very_host_does_not_count_and_clear_text_fails() -> None:
    seen = verdicts("log_archive", "log_shipping-debian12-neglected", SERVICES)
    assert seen == {
        "journal_survives journal": "fail",
        "logs_leave_the_host forward:relp:relay.example.net": "pass",
        "logs_leave_the_host forward:tcp:logs.example.net": "pass",
        "logs_leave_the_host forward:udp:10.9.8.7": "pass",
        "logs_leave_the_host output:ommysql": "unknown",
        "logs_travel_encrypted output:ommysql": "unknown",
        "logs_travel_encrypted forward:relp:relay.example.net": "pass",
        "logs_travel_encrypted forward:tcp:logs.example.net": "fail",
        "logs_travel_encrypted forward:udp:10.9.8.7": "fail",
    }


def test_no_password_of_a_log_database_travels() -> None:
    assert "hunter2" not in text_of("log_shipping-debian12-neglected")
    assert "ommysql" in text_of("log_shipping-debian12-neglected")
    assert "hunter2" not in text_of(JOBS)


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("*.* @@[2001:db8::1]:514", "2001:db8::1"),
        (':msg, contains, "x" @(z9)logs.example.net', "logs.example.net"),
        ("& @@logs.example.net:514;RSYSLOG_ForwardFormat", "logs.example.net"),
        (
            '*.* action(type="omfwd" target="10.1.1.1" protocol="tcp" StreamDriver="gtls" StreamDriverMode="1")',
            "10.1.1.1",
        ),
        ("*.* /var/log/all;Format", ""),
        ('if $msg contains "bob @home" then /var/log/x', ""),
    ],
)
def test_both_languages_of_rsyslog_are_read(line: str, host: str) -> None:
    text = text_of("log_shipping-debian12-lab").replace("= end", f"|{line}\n= end")
    fact = LogShipping.parse(Answer("log_shipping", 0, text.encode()))
    assert "".join(f.host for f in fact.forwards) == host
    assert all(f.encrypted for f in fact.forwards if "gtls" in line)


def test_a_file_that_rsyslog_includes_and_we_did_not_read_blinds_the_row() -> None:
    text = text_of("log_shipping-debian12-lab").replace("= end", '|include(file="/opt/site/*.conf")\n= end')
    seen = verdicts("log_archive", "services-debian12-lab", log_shipping=text)
    assert set(seen.values()) == {"unknown"}


def test_logs_that_stay_fail_and_a_stopped_rsyslog_sends_nothing() -> None:
    seen = verdicts("log_archive", "log_shipping-debian13-server", "services-debian13-server")
    assert seen["logs_leave_the_host host"] == "fail"
    units = text_of(SERVICES).split("|\n")
    stopped = "|\n".join(u.replace("=active", "=inactive") if "Id=rsyslog.service" in u else u for u in units)
    seen = told("log_archive", "log_shipping-debian12-neglected", services=stopped)
    assert seen["logs_leave_the_host forward:udp:10.9.8.7"].startswith(
        "fail: rsyslog sends to 10.9.8.7 by udp, but"
    )


def test_a_journal_upload_counts_only_while_it_runs() -> None:
    text = text_of("log_shipping-debian13-server").replace(
        "= upload\n", "= upload\n|URL=https://me:pw@logs.example.net\n"
    )
    seen = told("log_archive", "services-debian13-server", log_shipping=text)
    assert seen["logs_leave_the_host journal-upload"].startswith(
        "fail: systemd-journal-upload to logs.example.net"
    )
    assert seen["logs_travel_encrypted journal-upload"] == "pass: logs.example.net"
    assert "pw" not in str(seen)


def test_a_shipper_whose_settings_are_not_read_leaves_open_whether_it_encrypts() -> None:
    services = text_of("services-debian12-lab")
    units = services.replace(
        "= end",
        "|\n|Result=success\n|ExecMainExitTimestamp=\n|Id=vector.service\n|LoadState=loaded\n|ActiveState=active\n|SubState=running\n|UnitFileState=enabled\n= end",
    )
    seen = told("log_archive", "log_shipping-debian12-lab", services=units)
    assert seen["logs_travel_encrypted service:vector.service"].startswith("unknown: vector.service runs")
    assert "logs_travel_encrypted host" not in seen
    assert told("log_archive", "log_shipping-debian12-lab", services=services)[
        "logs_travel_encrypted host"
    ].startswith("pass")
