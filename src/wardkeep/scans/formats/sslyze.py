"""sslyze's JSON (3 and later). sslyze observes and does not judge: the verdicts and severities here are Wardkeep's, and say so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from wardkeep.scans.model import Malformed, Report, Result, State, clean, inner, listing, mapping, text

OURS = "Wardkeep"
OLD = {"ssl_2_0": "high", "ssl_3_0": "high", "tls_1_0": "medium", "tls_1_1": "medium"}
# Suites with a broken or absent part: RFC 7465 (RC4), RFC 9155 and 8429 (MD5, DES), Sweet32 (64-bit blocks), FREAK (export).
WEAK = re.compile(r"NULL|EXPORT|EXP-|RC4|RC2|_DES_|DES-CBC|3DES|IDEA|_MD5|anon|ADH|AECDH", re.I)
# Flag of a command's result → what is true when it is safe, its severity when it is not.
FLAGS = {
    "is_vulnerable_to_heartbleed": (False, "critical", "CVE-2014-0160"),
    "is_vulnerable_to_ccs_injection": (False, "high", "CVE-2014-0224"),
    "supports_compression": (False, "medium", "CVE-2012-4929"),
    "supports_fallback_scsv": (True, "low", ""),
    "supports_secure_renegotiation": (True, "medium", "CVE-2009-3555"),
    "accepts_client_renegotiation": (False, "medium", ""),
    "is_vulnerable_to_client_renegotiation_dos": (False, "medium", ""),
    "supports_ems_extension": (True, "low", ""),
    "supports_early_data": (False, "low", ""),
}


def matches(value: Any) -> bool:
    return isinstance(value, dict) and "server_scan_results" in value


def read(value: Any, report: Report) -> None:
    report.version = text(value, "sslyze_version")
    report.at = text(value, "date_scans_completed")
    report.each(
        value.get("server_connectivity_errors"), "/server_connectivity_errors", _unreachable(report.target)
    )
    report.each(value.get("invalid_server_strings"), "/invalid_server_strings", _invalid)
    results = value["server_scan_results"]
    if not isinstance(results, list):
        report.refuse("/server_scan_results", "no list")
        return
    for n, server in enumerate(results):
        pointer = f"/server_scan_results/{n}"
        if not isinstance(server, dict):
            report.refuse(pointer, "no server")
            continue
        try:
            _server(server, pointer, report)
        except Malformed as e:
            report.refuse(pointer, str(e))


def _unreachable(_target: str) -> Callable[[Any, str], Iterator[Result]]:
    def convert(item: Any, pointer: str) -> Iterator[Result]:
        place = inner(item, "server_info", "server_location") or inner(item, "server_location")
        told = text(item, "error_message") or "could not be reached"
        yield Result("connectivity", told, State.UNKNOWN, pointer, target=_name(place))

    return convert


def _invalid(item: Any, pointer: str) -> Iterator[Result]:
    told = text(item, "error_message") or "is no server's name"
    yield Result("connectivity", told, State.UNKNOWN, pointer, target=text(item, "server_string"))


def _name(place: dict[str, Any]) -> str:
    port = text(place, "port")
    host, address = text(place, "hostname"), text(place, "ip_address")
    return f"{host or address}{':' + port if port else ''}" + (f" ({address})" if host and address else "")


def _server(server: dict[str, Any], pointer: str, report: Report) -> None:
    info = inner(server, "server_info")
    target = _name(inner(server, "server_location") or inner(info, "server_location"))
    report.target = report.target or target
    status = text(server, "scan_status", "connectivity_status")
    if status and status != "COMPLETED":
        report.one(server, pointer, lambda _, p: [Result("connectivity", f"the scan ended with {status}", State.UNKNOWN, p, said=status, target=target)])  # fmt: skip
    old = mapping(server.get("scan_commands_results") or {})
    for name, result in old.items():
        report.one(result, f"{pointer}/scan_commands_results/{name}", lambda r, p, n=name: _command(n, r, p, target))  # type: ignore[misc]  # fmt: skip
    for name, error in mapping(server.get("scan_commands_errors") or {}).items():
        told = text(error, "reason", "exception") if isinstance(error, dict) else clean(error)
        report.one(error, f"{pointer}/scan_commands_errors/{name}", lambda _, p, n=name, t=told: [Result(n, t or "failed", State.UNKNOWN, p, target=target)])  # type: ignore[misc]  # fmt: skip
    for name, attempt in mapping(server.get("scan_result") or {}).items():
        report.one(attempt, f"{pointer}/scan_result/{name}", lambda a, p, n=name: _attempt(n, a, p, target))  # type: ignore[misc]  # fmt: skip


def _attempt(name: str, attempt: Any, pointer: str, target: str) -> Iterator[Result]:
    status = text(attempt, "status")
    if status == "COMPLETED":
        yield from _command(name, mapping(attempt).get("result"), f"{pointer}/result", target)
    elif status == "NOT_SCHEDULED":
        yield Result(name, "was not asked for", State.SKIPPED, pointer, said=status, target=target)
    else:
        told = text(attempt, "error_reason") or "no result"
        yield Result(name, told, State.UNKNOWN, pointer, said=status, target=target)


def _command(name: str, result: Any, pointer: str, target: str) -> Iterator[Result]:
    if result is None:
        yield Result(name, "ended without a result", State.UNKNOWN, pointer, target=target)
        return
    held = mapping(result)

    def one(id_: str, title: str, is_safe: bool, severity: str = "", ref: str = "", more: str = "") -> Result:
        state = State.PASS if is_safe else State.FAIL
        return Result(
            id_, title, state, pointer, "" if is_safe else severity, "" if is_safe else OURS, more, target,
            references=(ref,) if ref else (),
        )  # fmt: skip

    if name.endswith("_cipher_suites"):
        yield from _suites(name, held, one)
    elif name == "certificate_info":
        for n, deployment in enumerate(listing(held, "certificate_deployments")):
            yield from _certificate(mapping(deployment), n, one)
    elif name == "robot":
        told = text(held, "robot_result") or text(held, "robot_result_enum")
        yield one(
            "robot", f"ROBOT: {told}", told.startswith("NOT_VULNERABLE"), "high", "CVE-2017-13099", told
        )
    elif flags := [key for key in FLAGS if isinstance(held.get(key), bool)]:
        for key in flags:
            safe, severity, ref = FLAGS[key]
            yield one(
                name if len(flags) == 1 else f"{name}.{key}",
                f"{key.replace('_', ' ')}: {held[key]}",
                held[key] is safe,
                severity,
                ref,
            )
    else:
        yield Result(name, f"observed: {', '.join(sorted(held))}", State.INFO, pointer, target=target)


def _suites(name: str, held: dict[str, Any], one: Callable[..., Result]) -> Iterator[Result]:
    accepted = [
        text(inner(suite, "cipher_suite"), "name") or "?" for suite in listing(held, "accepted_cipher_suites")
    ]
    version = name.removesuffix("_cipher_suites")
    shown = version.replace("_", " ", 1).replace("_", ".").upper()
    said = f"{len(accepted)} suites accepted"
    if version in OLD:
        yield one(name, f"{shown}: {said}", not accepted, OLD[version], "RFC 8996", ", ".join(accepted)[:500])
        return
    weak = [suite for suite in accepted if WEAK.search(suite)]
    yield one(name, f"{shown}: {said}, {len(weak)} of them weak", not weak, "medium", "", ", ".join(weak)[:500])  # fmt: skip


def _certificate(deployment: dict[str, Any], number: int, one: Callable[..., Result]) -> Iterator[Result]:
    name = f"certificate_info.{number}"
    if (matched := deployment.get("leaf_certificate_subject_matches_hostname")) is not None:
        yield one(f"{name}.hostname", "the certificate names the host", bool(matched), "high")
    checks = [mapping(c) for c in listing(deployment, "path_validation_results")]
    failed = [text(inner(c, "trust_store"), "name") for c in checks if not _trusted(c)]
    if checks:
        told = f"trusted by {len(checks) - len(failed)} of {len(checks)} trust stores"
        yield one(f"{name}.trust", told, not failed, "high", "", f"not by {', '.join(failed)}" if failed else "")  # fmt: skip
    for key, safe in (
        ("received_chain_has_valid_order", True),
        ("verified_chain_has_sha1_signature", False),
        ("verified_chain_has_legacy_symantec_anchor", False),
        ("ocsp_response_is_trusted", True),
    ):
        if isinstance(deployment.get(key), bool):
            yield one(
                f"{name}.{key}", f"{key.replace('_', ' ')}: {deployment[key]}", deployment[key] is safe, "low"
            )


def _trusted(check: dict[str, Any]) -> bool:
    if "was_validation_successful" in check:
        return bool(check["was_validation_successful"])
    return bool(check.get("verified_certificate_chain")) and not check.get("openssl_error_string")
