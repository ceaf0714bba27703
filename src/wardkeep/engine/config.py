"""The operator's one file: `wardkeep.toml`. A profile of numbers, and what the operator overrides of it.

Every key is checked against the numbers, the controls' policies and the few settings below. A wrong key or value
is one line with file, line and the nearest valid name; nothing of a file with a fault in it is used.
"""

from __future__ import annotations

import hashlib
import json
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.profiles import (
    Cadence,
    Numbers,
    Profile,
    cadence,
    did_you_mean,
    profile,
    read_duration,
    show_duration,
)
from wardkeep.core.text_files import parse_toml, read_text_file
from wardkeep.engine.folder import ALLOWLIST
from wardkeep.engine.setting_values import CHECKED
from wardkeep.engine.toml_lines import Lines

TOP = ("profile", "numbers", "cadence", "policy", "host", "database", "console", "alerts", "allowlist")


@dataclass(frozen=True)
class Settings:
    """What is not policy: where the state lives, where the console listens, who is alerted."""

    database_url: str = field(
        default="", metadata={"doc": "empty: SQLite in the state folder; or postgresql://…", "secret": True}
    )
    console_listen: str = field(
        default="127.0.0.1:8420",
        metadata={
            "doc": "address and port of the console; loopback unless a proxy with TLS stands before it"
        },
    )
    console_url: str = field(
        default="", metadata={"doc": "how browsers reach the console, when a proxy stands before it"}
    )
    alerts_urls: tuple[str, ...] = field(
        default=(),
        metadata={
            "doc": "Apprise addresses that alerts go to (mailto://, json://, slack://, …)",
            "secret": True,
        },
    )
    alerts_least_severity: str = field(
        default="medium", metadata={"doc": "findings below it are not alerted: critical, high, medium or low"}
    )
    alerts_digest: bool = field(
        default=True, metadata={"doc": "the day's digest of the fleet's published flaws goes out too"}
    )
    allowlist_file: str = field(
        default=ALLOWLIST,
        metadata={"doc": "the allowlist's file, from the folder of this one: may lie in a git checkout"},
    )
    allowlist_providers: tuple[str, ...] = field(
        default=(), metadata={"doc": "files with the published ranges of providers, one for each"}
    )


@dataclass(frozen=True)
class Config:
    """The policy in force. Built only by `read_config`; `set_by_operator` maps each overridden key to its line."""

    path: Path
    profile: Profile
    settings: Settings = field(default_factory=Settings)
    policies: Mapping[str, Any] = field(default_factory=dict)
    host_policies: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    cadences: Mapping[str, Cadence] = field(default_factory=dict)
    set_by_operator: Mapping[str, int] = field(default_factory=dict)

    @property
    def numbers(self) -> Numbers:
        return self.profile.numbers

    def policy(self, control: Control, host: str = "") -> Any:
        """The policy of a control, for one host where the operator made an exception for it."""
        known = self.host_policies.get((host, control.id)) or self.policies.get(control.id)
        return known if known is not None else default_policy(control, self.numbers)

    def cadence(self, row: str) -> Cadence:
        return self.cadences.get(row) or cadence(row, self.numbers)

    def document(self) -> bytes:
        """Everything that decides a verdict, as JSON with sorted keys; settings such as addresses are left out."""
        told = {
            "profile": self.profile.name,
            "numbers": plain(self.numbers),
            "policies": {name: plain(policy) for name, policy in sorted(self.policies.items())},
            "hosts": {"/".join(key): plain(policy) for key, policy in sorted(self.host_policies.items())},
            "cadences": {row: self._own_spans(row) for row in sorted(self.cadences)},
        }
        return json.dumps(told, sort_keys=True).encode()

    def _own_spans(self, row: str) -> dict[str, str]:
        """What of a row's cadence is not the profile's."""
        usual, own = cadence(row, self.numbers), self.cadences[row]
        return {
            f.name: plain(getattr(own, f.name))
            for f in fields(own)
            if getattr(own, f.name) != getattr(usual, f.name)
        }

    def digest(self) -> str:
        """sha256 of `document`: each assessment in the ledger names the policy it was made by."""
        return "sha256:" + hashlib.sha256(self.document()).hexdigest()


def plain(value: Any) -> Any:
    """A policy as JSON data: durations as a person writes them, sets sorted."""
    if is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in sorted(value.items())}
    if isinstance(value, frozenset | set):
        return sorted(plain(v) for v in value)
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value


def default_policy(control: Control, numbers: Numbers) -> Any:
    """A control's policy with the profile's numbers in the fields that name one in their metadata."""
    fed = {}
    for known in fields(control.policy):
        if number := known.metadata.get("number"):
            value = getattr(numbers, number)
            if isinstance(value, timedelta) and get_type_hints(control.policy)[known.name] is int:
                value = int(value.total_seconds()) // {"h": 3600, "hours": 3600}.get(
                    known.metadata.get("unit", "d"), 86400
                )
            fed[known.name] = value
    return control.policy(**fed)


def read_config(
    path: Path, controls: Iterable[Control], *, known_hosts: Iterable[str] | None = None
) -> Config:
    """Read and check the operator's file; a missing file means the default profile without overrides.

    Raises BadInput with `file:line` for the first wrong key or value. `known_hosts`, when given, are the only
    names allowed under `[host.NAME]`.
    """
    text = read_text_file(path, absent="")
    return _Reader(path, parse_toml(text, str(path)), Lines(text), tuple(controls), known_hosts).read()


@dataclass
class _Reader:
    path: Path
    data: dict[str, Any]
    lines: Lines
    controls: tuple[Control, ...]
    known_hosts: Iterable[str] | None
    seen: dict[str, int] = field(default_factory=dict)

    def read(self) -> Config:
        self._only(TOP, self.data, ())
        name = self.data.get("profile", "hipaa")
        if not isinstance(name, str):
            raise self._wrong(("profile",), "the profile is a name", 'Write profile = "hipaa".')
        chosen = profile(name, where=self._at(("profile",)))
        if "profile" in self.data:
            self._note("profile")
        numbers = chosen.numbers
        for key, value in self._table(self.data, "numbers").items():
            numbers = numbers.override({key: value}, where=self._at(("numbers", key)))
            self._note("numbers", key)
        chosen = replace(chosen, numbers=numbers)
        by_id = {control.id: control for control in self.controls}
        policies = self._policies(
            self.data, (), by_id, {c.id: default_policy(c, numbers) for c in self.controls}
        )
        host_policies: dict[tuple[str, str], Any] = {}
        for host, about in self._table(self.data, "host").items():
            if self.known_hosts is not None and host not in (known := list(self.known_hosts)):
                raise self._wrong(("host", host), f"no host is called `{host}`", did_you_mean(host, known))
            self._only(("policy",), about, ("host", host))
            self._note("host", host)
            for control, made in self._policies(about, ("host", host), by_id, policies).items():
                if made != policies[control]:
                    host_policies[host, control] = made
        return Config(
            self.path,
            chosen,
            self._settings(),
            policies,
            host_policies,
            self._cadences(by_id, numbers),
            self.seen,
        )

    def _policies(
        self,
        data: Mapping[str, Any],
        above: tuple[str, ...],
        by_id: Mapping[str, Control],
        start: Mapping[str, Any],
    ) -> dict[str, Any]:
        made = dict(start)
        table = self._table(data, "policy", above)
        self._only(by_id, table, (*above, "policy"))
        for control, values in table.items():
            place = (*above, "policy", control)
            known = {f.name: f for f in fields(by_id[control].policy)}
            self._only(known, self._as_table(values, place), place)
            hints = get_type_hints(by_id[control].policy)
            changes = {key: self._value(hints[key], value, (*place, key)) for key, value in values.items()}
            try:
                made[control] = replace(made[control], **changes)
            except ValueError as e:  # a policy may check its own values
                raise self._wrong(place, str(e), "") from None
            except BadInput as e:
                key = e.where.rpartition(".")[2]
                raise self._wrong((*place, key) if key in values else place, e.what, e.todo) from None
            for key in values:
                self._note(*place, key)
        return made

    def _cadences(self, by_id: Mapping[str, Control], numbers: Numbers) -> dict[str, Cadence]:
        made = {}
        table = self._table(self.data, "cadence")
        self._only(by_id, table, ("cadence",))
        for row, spans in table.items():
            self._only(("observe", "drill"), self._as_table(spans, ("cadence", row)), ("cadence", row))
            changes = {
                key: self._value(timedelta, value, ("cadence", row, key)) for key, value in spans.items()
            }
            made[row] = replace(cadence(row, numbers), **changes)
            for key in spans:
                self._note("cadence", row, key)
        return made

    def _settings(self) -> Settings:
        hints = get_type_hints(Settings)
        changes = {}
        for section in ("database", "console", "alerts", "allowlist"):
            own = {name.removeprefix(f"{section}_"): name for name in hints if name.startswith(f"{section}_")}
            table = self._table(self.data, section)
            self._only(own, table, (section,))
            for key, value in table.items():
                changes[own[key]] = self._value(hints[own[key]], value, (section, key))
                self._note(section, key)
        made = Settings(**changes)
        if made.alerts_least_severity not in ("critical", "high", "medium", "low"):
            raise self._wrong(
                ("alerts", "least_severity"), "is no severity", "Write critical, high, medium or low."
            )
        for section, key, check in CHECKED:
            try:
                check(getattr(made, f"{section}_{key}"))
            except BadInput as e:
                raise self._wrong((section, key), e.what, e.todo) from None
        return made

    def _value(self, kind: Any, value: Any, place: tuple[str, ...]) -> Any:
        if kind is timedelta:
            if not isinstance(value, str):
                raise self._wrong(place, "needs a duration", 'Write for example "15 d" or "24 h".')
            return (
                read_duration(value)
                if _reads(value)
                else self._refuse(place, f"`{value}` is no duration", 'Write for example "15 d".')
            )
        strict = not isinstance(value, list | dict)  # TOML has no tuples or sets: containers are converted
        try:
            return TypeAdapter(kind, config=None if is_dataclass(kind) else ConfigDict()).validate_python(
                value, strict=strict
            )
        except ValidationError as e:
            fault = e.errors(include_url=False, include_input=False)[0]
            inside = "".join(f"[{part}]" for part in fault["loc"])
            raise self._wrong(
                place, f"{inside} {fault['msg']}".strip().lower(), f"It takes {_words(kind)}."
            ) from None

    def _refuse(self, place: tuple[str, ...], what: str, todo: str) -> Any:
        raise self._wrong(place, what, todo)

    def _table(self, data: Mapping[str, Any], key: str, above: tuple[str, ...] = ()) -> Mapping[str, Any]:
        return self._as_table(data.get(key, {}), (*above, key))

    def _as_table(self, value: Any, place: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(
                place, "is a table, not a value", f"Write [{'.'.join(place)}] and its keys below."
            )
        return value

    def _only(self, known: Iterable[str], table: Mapping[str, Any], place: tuple[str, ...]) -> None:
        names = list(known)
        for key in self._as_table(table, place):
            if key not in names:
                raise BadInput(
                    f"nothing is called `{'.'.join((*place, key))}`",
                    where=self._at((*place, key)),
                    todo=did_you_mean(key, names) if names else "Nothing can be set there.",
                )

    def _wrong(self, place: tuple[str, ...], what: str, todo: str) -> BadInput:
        return BadInput(f"{'.'.join(place)}: {what}", where=self._at(place), todo=todo)

    def _note(self, *place: str) -> None:
        self.seen[".".join(place)] = self.lines.of(place)

    def _at(self, place: tuple[str, ...]) -> str:
        line = self.lines.of(place)
        return f"{self.path}:{line}" if line else str(self.path)


def _reads(text: str) -> bool:
    try:
        read_duration(text)
    except BadInput:
        return False
    return True


def _words(kind: Any) -> str:
    """A type as an operator would say it."""
    simple = {bool: "true or false", int: "a whole number", str: "a text in quotes", float: "a number"}
    if kind in simple:
        return simple[kind]
    if isinstance(kind, types.GenericAlias) and kind.__origin__ in (tuple, frozenset, list):
        return f"a list of {_words(kind.__args__[0])}".replace("a text in quotes", "texts")
    return "another kind of value (see `wardkeep settings` or docs/configuration.md)"
