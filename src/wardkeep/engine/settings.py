"""Every number and policy in force, with its value and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from wardkeep.core.control import Control
from wardkeep.engine.config import Config, Settings, plain


@dataclass(frozen=True)
class Setting:
    """One key of the operator's file. `source` is `profile`, `default`, or the file and line that set it."""

    key: str
    value: Any
    source: str
    doc: str
    host: str = ""


def settings_in_force(config: Config, controls: tuple[Control, ...]) -> list[Setting]:
    """All of them, in the order of the file's sections. Values that may hold secrets are masked."""
    told = [
        Setting("profile", config.profile.name, _source(config, "profile", "default"), config.profile.label)
    ]
    for number in fields(config.numbers):
        key = f"numbers.{number.name}"
        value = plain(getattr(config.numbers, number.name))
        told.append(Setting(key, value, _source(config, key, "profile"), number.metadata["doc"]))
    for control in controls:
        told += _policy(config, control, "")
    for host, control_id in sorted(config.host_policies):
        told += _policy(config, next(c for c in controls if c.id == control_id), host)
    for known in fields(Settings):
        key = known.name.replace("_", ".", 1)
        value = getattr(config.settings, known.name)
        shown = mask(value) if known.metadata.get("secret") else plain(value)
        told.append(Setting(key, shown, _source(config, key, "default"), known.metadata["doc"]))
    return told


def mask(value: Any) -> Any:
    """A value that may hold a secret: only its scheme and that it is set."""
    if isinstance(value, tuple):
        return [mask(one) for one in value]
    scheme, colon, _ = str(value).partition("://")
    return f"{scheme}://…" if colon else ("set" if value else "")


def _policy(config: Config, control: Control, host: str) -> list[Setting]:
    policy = config.policy(control, host)
    told = []
    for known in fields(control.policy):
        key = f"policy.{control.id}.{known.name}"
        if host:
            key = f"host.{host}.{key}"
            if key not in config.set_by_operator:
                continue
        fallback = "profile" if known.metadata.get("number") else "default"
        value = plain(getattr(policy, known.name))
        told.append(Setting(key, value, _source(config, key, fallback), known.metadata.get("doc", ""), host))
    return told


def _source(config: Config, key: str, fallback: str) -> str:
    line = config.set_by_operator.get(key)
    return f"{config.path.name}:{line}" if line else fallback
