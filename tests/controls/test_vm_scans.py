"""What the scans' row says of hosts as they really answered: a fresh one, one where intruders left things, and edited answers."""

from __future__ import annotations

from datetime import timedelta

from recorded_rows import NOW, held, snapshot, text_of, told, verdicts

from wardkeep.controls import control
from wardkeep.core.changes import Act, Blocked, OnHost, Setting
from wardkeep.core.findings import Verdict
from wardkeep.core.profiles import HIPAA
from wardkeep.engine.assess import drill_steps, remedies
from wardkeep.engine.config import default_policy

ROW = "vm_scans"
NEGLECTED = "file_tree-debian12-neglected"


def failing(*names: str, **texts: str) -> dict[str, str]:
    found = told(ROW, *names, **texts)
    return {key: text.removeprefix("fail: ") for key, text in found.items() if text.startswith("fail")}


def changes(*names: str) -> list[object]:
    made = control(ROW)
    told_of = remedies(made, snapshot(ROW, *names), default_policy(made, HIPAA.numbers))
    return [change for _, _, answer in told_of if isinstance(answer, list) for change in answer]


def test_a_fresh_host_has_nothing_odd_in_its_files() -> None:
    for name in ("file_tree-debian12-server", "file_tree-debian13-server"):
        seen = verdicts(ROW, name)
        for rule in (
            "set_id_in_place",
            "set_id_not_writable",
            "nothing_world_writable",
            "everything_owned",
            "no_devices_elsewhere",
        ):
            assert seen[f"{rule} host"] == "pass"
    assert (
        "entries under /, /dev, /dev/shm" in told(ROW, "file_tree-debian12-server")["everything_owned host"]
    )


def test_one_pass_finds_what_intruders_and_haste_leave() -> None:
    seen = failing(NEGLECTED)
    assert seen == {
        "set_id_in_place file:/home/bob/.sh": "set-id, 4755 root:root",
        "set_id_in_place file:/var/tmp/wide": "set-id, 4777 root:root",
        "set_id_not_writable file:/var/tmp/wide": "set-id and writable for others, 4777 root:root",
        "nothing_world_writable file:/etc/motd": "file, 0666 root:root",
        "nothing_world_writable file:/home/bob": "folder without the sticky bit, 0777 bob:bob",
        "nothing_world_writable file:/var/tmp/wide": "file, 4777 root:root",
        "nothing_world_writable file:/srv/share": "folder without the sticky bit, 0777 root:root",
        "nothing_world_writable file:/srv/a name\\nwith a break": "file, 0666 root:root",
        "nothing_world_writable folder:/srv/share": "7 files everybody may change: f1, f2, f3, …",
        "everything_owned file:/opt/lost": "owner 4242, group 4243: no such name here",
        "no_devices_elsewhere file:/srv/disk": "character device, 0644 root:root",
        "capabilities_known file:/opt/agent": "cap_net_admin,cap_net_raw=eip",
    }
    severities = {
        f.subject: f.severity.value for f in held(ROW, snapshot(ROW, NEGLECTED)) if f.verdict is Verdict.FAIL
    }
    assert severities["file:/etc/motd"] == "high"
    assert severities["folder:/srv/share"] == "medium"


def test_policy_names_what_is_meant() -> None:
    named = {
        "set_id_programs": frozenset({"/home/bob/.sh", "/var/tmp/wide"}),
        "world_writable": frozenset({"/srv", "/etc/motd"}),
        "unowned": frozenset({"/opt"}),
        "capable_programs": frozenset({"/opt/agent"}),
    }
    seen = verdicts(ROW, NEGLECTED, policy=named)
    assert (
        seen["set_id_in_place host"]
        == seen["everything_owned host"]
        == seen["capabilities_known host"]
        == "pass"
    )
    assert {key for key in seen if key.startswith("nothing_world_writable")} == {
        "nothing_world_writable file:/home/bob",
        "nothing_world_writable file:/var/tmp/wide",
    }


def test_a_pass_that_met_a_fault_is_not_clean() -> None:
    broken = text_of("file_tree-debian12-server").replace("|status 0", "|status 1")
    seen = verdicts(ROW, file_tree=broken)
    assert seen["everything_owned host"] == seen["set_id_in_place host"] == "unknown"
    later = verdicts(ROW, "file_tree-debian12-server", at=NOW + timedelta(days=2))
    assert later["everything_owned host"] == "unknown"
    found = verdicts(ROW, file_tree=text_of(NEGLECTED).replace("|status 0", "|status 1"))
    assert found["everything_owned file:/opt/lost"] == "fail"
    without = text_of("file_tree-debian12-server").replace("|getcap\n", "")
    assert verdicts(ROW, file_tree=without)["capabilities_known host"] == "unknown"


def test_numbers_lent_to_containers_are_no_lost_owners() -> None:
    lent = (
        text_of(NEGLECTED).replace("|uid:alice:100000:65536\n", "").replace("|gid:alice:100000:65536\n", "")
    )
    assert verdicts(ROW, file_tree=lent)["everything_owned file:/home/alice/c/x"] == "fail"
    assert "everything_owned file:/home/alice/c/x" not in verdicts(ROW, NEGLECTED)


def test_files_of_the_system_are_closed_again() -> None:
    assert {
        v for k, v in verdicts(ROW, "file_rights-debian12-server").items() if k.startswith("system_files")
    } == {"pass"}
    seen = failing("file_rights-debian12-neglected")
    assert seen["system_files_closed file:/etc/shadow"] == "0644 root:shadow: more open than 0640"
    assert seen["system_files_closed file:/etc/crontab"] == "0644 alice:root: owned by alice"
    assert seen["system_files_closed file:/root"].endswith("more open than 0700")
    assert (
        seen["homes_closed home:bob"] == "/home/bob 0777 bob:bob: others may change it, everybody may read it"
    )
    assert seen["umask_closed umask"].startswith("UMASK 022")
    assert seen["boot_menu_locked file:/boot/grub/grub.cfg"] == "no password is set"
    acts = {
        change.subject: change
        for change in changes("file_rights-debian12-neglected")
        if isinstance(change, Act)
    }
    shadow = acts["file:/etc/shadow"]
    assert shadow.script == "chown root:shadow -- /etc/shadow && chmod 0640 -- /etc/shadow"
    assert shadow.undo == "chown root:shadow -- /etc/shadow && chmod 0644 -- /etc/shadow"
    assert acts["file:/etc/crontab"].undo == "chown alice:root -- /etc/crontab && chmod 0644 -- /etc/crontab"
    assert set(acts) == {key.partition(" ")[2] for key in seen if key.startswith(("system_files", "umask"))}


def test_mounts_are_judged_by_what_lies_on_top() -> None:
    seen = verdicts(ROW, "mounts-debian12-disks")
    assert seen["mounts_restricted mount:/tmp"] == "pass"
    assert seen["mounts_restricted mount:/home"] == "fail"
    assert seen["mounts_restricted mount:/var/tmp"] == "fail"
    assert seen["logs_apart mount:/var/log"] == "pass"
    assert seen["logs_apart mount:/var/log/audit"] == "fail"
    assert set(verdicts(ROW, "mounts-debian12-container").values()) <= {"pass", "unknown"}


def test_modules_are_blocked_on_the_machine_and_not_in_a_container() -> None:
    seen = verdicts(ROW, "kernel_modules-debian13-tainted")
    assert seen["unused_modules_blocked module:usb-storage"] == "fail"
    assert seen["unused_modules_blocked module:cramfs"] == "pass"
    assert (
        "outside of the kernel's tree"
        in told(ROW, "kernel_modules-debian13-tainted")["kernel_untainted kernel"]
    )
    assert seen["programs_confined apparmor"] == "pass"
    (made,) = (c for c in changes("kernel_modules-debian13-tainted") if isinstance(c, Setting))
    assert made.line == "install usb-storage /bin/false"
    assert all(isinstance(change, Blocked) for change in changes("kernel_modules-debian12-server"))
    assert (
        verdicts(ROW, "kernel_modules-debian12-neglected")["unused_modules_blocked module:usb-storage"]
        == "pass"
    )


def test_the_audit_trail_is_judged_by_the_rules_in_force() -> None:
    full = verdicts(ROW, "audit_rules-debian12-audited")
    assert {v for k, v in full.items() if k.startswith("audit_")} == {"pass"}
    seen = told(ROW, "audit_rules-debian12-neglected")
    assert (
        seen["audit_covers audit:accounts"]
        == "fail: nothing records /etc/group or /etc; /etc/gshadow or /etc"
    )
    assert seen["audit_kept auditd:flush"] == "fail: none"
    assert seen["audit_kept auditd:space_left_action"] == "pass: syslog"
    lines = [
        change.line for change in changes("audit_rules-debian12-neglected") if isinstance(change, Setting)
    ]
    assert "-w /etc/group -p wa -k accounts" in lines
    assert all(isinstance(change, Blocked) for change in changes("audit_rules-debian12-server"))
    lost = text_of("audit_rules-debian12-audited").replace("lost 0", "lost 17")
    assert verdicts(ROW, audit_rules=lost)["audit_kept audit:lost"] == "fail"


def test_the_rules_that_a_plan_offers_cover_their_topics() -> None:
    text = text_of("audit_rules-debian12-neglected")
    planned = [c.line for c in changes("audit_rules-debian12-neglected") if isinstance(c, Setting)]
    after = text.replace("= settings\n", "".join(f"|{line}\n" for line in planned) + "= settings\n")
    covers = {v for k, v in verdicts(ROW, audit_rules=after).items() if k.startswith("audit_covers")}
    assert covers == {"unknown"}  # named by the files; whether they are loaded the kernel did not say


def test_malware_scans_are_read_and_their_silence_is_a_finding() -> None:
    none = told(ROW, "malware_scans-debian12-server")
    assert none["malware_scanned host"] == "fail: no scanner is installed"
    assert none["no_malware_found host"].startswith("unknown")
    found = told(ROW, "malware_scans-debian12-neglected")
    assert found["no_malware_found clamav:/srv/share/eicar.com: Win.Test.EICAR_HDB-1"].startswith("fail")
    assert found["malware_scanned scan:/var/log/rkhunter.log"] == "fail: last written 12 days ago"
    assert found["malware_scanned signatures"] == "fail: the newest is 10 days old"
    clean = verdicts(ROW, "malware_scans-debian12-scanned")
    assert (
        clean["malware_scanned scan:/var/log/clamav/scan.log"]
        == clean["malware_scanned signatures"]
        == "pass"
    )
    assert clean["no_malware_found scan:/var/log/clamav/scan.log"] == "pass"
    silent = text_of("malware_scans-debian12-scanned").replace("= now 1795354822", "= now 1796354822")
    assert verdicts(ROW, malware_scans=silent)["malware_scanned scan:/var/log/clamav/scan.log"] == "fail"
    cut = text_of("malware_scans-debian12-scanned").replace("|Infected files: 0\n", "")
    said = verdicts(ROW, malware_scans=cut)
    assert "pass" not in {word for key, word in said.items() if key.startswith("no_malware")}
    off = verdicts(ROW, "malware_scans-debian12-server", policy={"malware_days": 0})
    assert off["malware_scanned host"] == off["no_malware_found host"] == "pass"
    found_anyway = verdicts(ROW, "malware_scans-debian12-neglected", policy={"malware_days": 0})
    assert found_anyway["no_malware_found clamav:/srv/share/eicar.com: Win.Test.EICAR_HDB-1"] == "fail"


def test_a_malware_scan_that_was_killed_says_nothing_whatever_the_one_before_said() -> None:
    """As ClamAV 1.4 and rkhunter 1.4 leave their logs when they are killed: a line of dashes, a start without an end."""
    found = told(ROW, "malware_scans-debian12-killed")
    for name in ("clamav/scan.log", "rkhunter.log"):
        assert found[f"malware_scanned scan:/var/log/{name}"].startswith(
            "unknown: last written 0 days ago; the log tells no end"
        )
    assert found["no_malware_found scan:/var/log/clamav/scan.log"].startswith("unknown")
    # What it had found by then stands.
    assert found["no_malware_found rkhunter:SHV5 Rootkit"] == "fail: SHV5 Rootkit"


def test_every_packaged_file_is_compared_and_the_comparison_grows_old() -> None:
    assert verdicts(ROW, "package_sums-debian12-server")["packages_unchanged host"] == "pass"
    seen = told(ROW, "package_sums-debian12-neglected")
    assert seen["packages_unchanged file:/usr/bin/newgrp"].startswith("fail")
    assert seen["packages_unchanged missing"] == "fail: 1 packaged files are missing: /usr/bin/expiry"
    later = told(ROW, "package_sums-debian12-server", at=NOW + timedelta(days=40))
    assert later["packages_unchanged comparison"].startswith("fail: compared 195 packages")


def test_listening_programs_of_no_package_are_named() -> None:
    seen = told(ROW, "listener_programs-debian12-neglected")
    assert seen["listeners_known program:/usr/sbin/sshd"] == "pass: sshd, of openssh-server"
    assert seen["listeners_known program:/opt/agent"] == "fail: agent is of no package"
    assert seen["listeners_known program:/opt/gone"].startswith(
        "fail: gone runs from a file that was removed"
    )
    mine = verdicts(
        ROW, "listener_programs-debian12-neglected", policy={"listening_programs": frozenset({"/opt/agent"})}
    )
    assert mine["listeners_known program:/opt/agent"] == "pass"


INSIDE = """= sockets
|tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))
|tcp LISTEN 0 128 0.0.0.0:8443 0.0.0.0:* users:(("java",pid=2,fd=3))
= end
"""


def test_the_view_from_outside_is_held_against_the_inside_and_policy() -> None:
    seen = told(ROW, "outside_ports-two-open", listeners=INSIDE)
    assert seen["outside_as_inside port:tcp/22"] == "pass: answers over IPv4, IPv6: sshd, named by policy"
    assert (
        seen["outside_as_inside port:tcp/443"]
        == "fail: answers over IPv4, and no program of the host listens on it"
    )
    assert seen["outside_as_inside port:tcp/8443"] == "fail: answers over IPv4: java, not named by policy"
    assert seen["outside_as_inside look"].endswith("2026-11-21, 1 days ago")
    assert seen["outside_tls_good port:tcp/8443/ip"].startswith("fail")
    assert seen["outside_tls_good port:tcp/443/ip"].startswith("pass")
    old = verdicts(ROW, "outside_ports-two-open", listeners=INSIDE, at=NOW + timedelta(days=40))
    assert old["outside_as_inside look"] == "fail"


def test_the_ssh_servers_finer_settings() -> None:
    seen = verdicts(ROW, "sshd-debian12-fresh")
    assert seen["ssh_settings_closed sshd:ciphers"] == "pass"
    assert seen["ssh_settings_closed sshd:hostbasedauthentication"] == "pass"
    weak = (
        text_of("sshd-debian12-fresh")
        .replace("|ciphers ", "|ciphers 3des-cbc,")
        .replace("|strictmodes yes", "|strictmodes no")
    )
    seen = verdicts(ROW, sshd=weak)
    assert seen["ssh_settings_closed sshd:ciphers"] == seen["ssh_settings_closed sshd:strictmodes"] == "fail"


def test_the_drill_plants_and_takes_away() -> None:
    made = control(ROW)
    given = snapshot(
        ROW, "programs-debian13-server", "file_tree-debian13-server", "listener_programs-debian13-server"
    )
    steps = drill_steps(made, given, default_policy(made, HIPAA.numbers))
    assert isinstance(steps, list)
    assert {step.proves for step in steps if isinstance(step, OnHost)} == {
        "vm_scans.set_id_owned", "vm_scans.set_id_not_writable", "vm_scans.listeners_known",
    }  # fmt: skip
    assert all(isinstance(step, OnHost) and step.undo for step in steps)


def test_what_other_tools_said_is_kept_with_its_passes_and_open_until_mended() -> None:
    seen = told(ROW, "imported_scans-four-tools")
    rule = "imported_results_dealt_with"
    assert seen[f"{rule} report:Lynis:host-1"].startswith(
        "pass: Lynis 3.0.8, of 2026-11-20: 1 fail, 231 pass"
    )
    assert seen[f"{rule} result:Lynis:host-1:FILE-7524"] == "fail: Permissions of /etc/shadow"
    assert seen[f"{rule} result:Lynis:host-1:KRNL-5830:undecided"].startswith("unknown")
    assert "own day not said" in seen[f"{rule} report:Trivy:host-1"]
    assert seen[f"{rule} result:Trivy:host-1:CVE-2026-0001"].endswith(
        "(libssl3 3.0.14-1~deb12u2, openssl 3.0.14-1~deb12u2)"
    )
    assert seen[f"{rule} result:Trivy:host-1:more"] == "fail: 500 further results are open"
    assert seen[f"{rule} report:nmap"].startswith("unknown: nmap 7.93, of 2026-01-01")
    assert seen[f"{rule} report:OpenSCAP:host-1"].endswith("2 items of it could not be read")
    worst = [
        one
        for one in held(ROW, snapshot(ROW, "imported_scans-four-tools"))
        if one.subject.endswith("CVE-2026-0001")
    ]
    assert [one.severity for one in worst] == ["critical"]
    assert verdicts(ROW, "imported_scans-nothing")[f"{rule} imports"] == "pass"
    late = verdicts(ROW, "imported_scans-four-tools", at=NOW + timedelta(days=100))
    assert {verdict for key, verdict in late.items() if f"{rule} report:" in key} == {"unknown"}
