"""An nft rule as nft itself writes it, from its JSON: what reports show of rules that came without their text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

OPERATORS = {"==": "", "in": ""}
# Statements that may refer to an object of the table by its name.
REFERRED = frozenset({"counter", "quota", "limit", "synproxy", "secmark"})


def rule_text(expr: Iterable[Mapping[str, Any]], comment: str = "") -> str:
    """`ip saddr 192.0.2.0/24 tcp dport 22 accept`."""
    told = " ".join(filter(None, (expression(e) for e in expr)))
    return f'{told} comment "{comment}"' if comment else told


def expression(expr: Mapping[str, Any]) -> str:
    """One expression or statement of a rule."""
    ((name, body),) = expr.items()
    if isinstance(body, str) and name in REFERRED:
        return f'{name} name "{body}"'
    match name:
        case "match":
            return _match(body)
        case "unprinted":
            return " ".join(str(body).split())
        case "counter" | "quota" | "limit" if isinstance(body, dict) and "map" in body:
            return f"{name} name {value(body)}"
        case "counter":
            return "counter" if not body else f"counter packets {body['packets']} bytes {body['bytes']}"
        case "jump" | "goto":
            return f"{name} {body['target']}"
        case "vmap":
            return f"{value(body['key'])} vmap {value(body['data'])}"
        case "mangle":
            return f"{value(body['key'])} set {value(body['value'])}"
        case "limit":
            over = "over " if body.get("inv") else ""
            unit = f" {body['rate_unit']}" if body.get("rate_unit", "packets") != "packets" else ""
            return f"limit rate {over}{body['rate']}{unit}/{body['per']}"
        case "ct count":
            return f"ct count {'over ' if body.get('inv') else ''}{body['val']}"
        case "quota":
            return f"quota {'over ' if body.get('inv') else ''}{body['val']} {body.get('val_unit', 'bytes')}"
        case "log":
            return " ".join(("log", *(f"{k} {_quoted(v)}" for k, v in (body or {}).items())))
        case "reject":
            return " ".join(("reject", *_reason(body or {})))
        case "set":
            return f"{body['op']} {body['set']} {{ {value(body['elem'])} }}"
        case "meter":
            return f"meter {body.get('name', '')} {{ {value(body['key'])} }}"
        case "dnat" | "snat" | "masquerade" | "redirect":
            return f"{name}{_nat(body or {})}"
        case "xt":
            kind = body.get("type", "") if isinstance(body, dict) else ""
            told = body.get("name", "") if isinstance(body, dict) else ""
            return f"xt {kind} {told}".strip()
        case "flow":
            return f"flow add {body.get('flowtable', '')}"
        case "queue":
            return "queue" if not body else f"queue num {value(body.get('num', 0))}"
    if body is None:
        return name
    return f"{name} {_quoted(body)}"


def _quoted(body: Any) -> str:
    if isinstance(body, str):
        return f'"{body}"'
    return json.dumps(body) if isinstance(body, dict | list) else str(body)


def _reason(body: Mapping[str, Any]) -> tuple[str, ...]:
    if body.get("type") == "tcp reset":
        return ("with tcp reset",)
    if body.get("expr") in (None, "port-unreachable"):
        return ()
    return (f"with {body.get('type', 'icmpx')} {body['expr']}",)


def _nat(body: Mapping[str, Any]) -> str:
    where = value(body["addr"]) if "addr" in body else ""
    port = f":{value(body['port'])}" if "port" in body else ""
    family = f" {body['family']}" if "family" in body else ""
    return f"{family} to {where}{port}" if where or port else ""


def _match(body: Mapping[str, Any]) -> str:
    left, op, right = body["left"], body["op"], body["right"]
    if isinstance(right, bool):
        return f"{value(left)} {'exists' if right else 'missing'}"
    told = ",".join(value(v) for v in right) if isinstance(right, list) else value(right)
    if isinstance(left, dict) and "&" in left:  # `tcp flags syn / fin,syn`, `meta mark & 0xff == 0x5`
        what, mask = left["&"]
        if value(what) == "tcp flags":
            return f"tcp flags {'!= ' if op == '!=' else ''}{told} / {value(mask)}"
        return f"{value(left)} {op} {told}"
    return " ".join(filter(None, (value(left), OPERATORS.get(op, op), told)))


def value(body: Any) -> str:
    """A selector or a value: `ip saddr`, `{ 22, 80 }`, `10.0.0.0/8`."""
    if isinstance(body, list):
        return (
            " : ".join(value(v) for v in body)
            if len(body) == 2 and isinstance(body[1], dict)
            else ",".join(map(value, body))
        )
    if not isinstance(body, dict) or len(body) != 1:
        return json.dumps(body, sort_keys=True) if isinstance(body, dict) else str(body)
    ((name, inside),) = body.items()
    if name == "payload" and isinstance(inside, dict) and "field" in inside:
        return f"{inside['protocol']} {inside['field']}"
    if name == "payload" and isinstance(inside, dict):
        return f"@{inside.get('base')},{inside.get('offset')},{inside.get('len')}"
    if name == "meta":
        key = str(inside["key"])
        return key if key in ("iif", "oif", "iifname", "oifname") else f"meta {key}"
    if name == "ct":
        return f"ct {inside['dir'] + ' ' if 'dir' in inside else ''}{inside['key']}"
    if name == "prefix":
        return f"{inside['addr']}/{inside['len']}"
    if name == "range":
        return f"{value(inside[0])}-{value(inside[1])}"
    if name == "set":
        return "{ " + ", ".join(map(value, inside)) + " }" if isinstance(inside, list) else value(inside)
    if name == "concat":
        return " . ".join(map(value, inside))
    if name == "elem":
        return value(inside["val"])
    if name in ("&", "|", "^", "<<", ">>"):
        return str(f" {name} ".join(map(value, inside)))
    if name == "map":
        return f"{value(inside['key'])} map {value(inside['data'])}"
    if name == "fib":
        return f"fib {' . '.join(inside.get('flags', ()))} {inside.get('result', '')}"
    if name in ("exthdr", "tcp option", "ip option"):
        field = f" {inside['field']}" if "field" in inside else ""
        return f"{name} {inside['name']}{field}" if name != "exthdr" else f"exthdr {inside['name']}{field}"
    if name in ("jump", "goto"):
        return f"{name} {inside['target']}"
    if inside is None:
        return str(name)
    if isinstance(inside, dict) and "key" in inside:
        return f"{name} {inside['key']}"
    told = json.dumps(inside, sort_keys=True) if isinstance(inside, dict | list) else str(inside)
    return f"{name} {told}"
