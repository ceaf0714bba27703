"""The allowlist as its file declares it, and how its entries come into the policies that name its lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

from wardkeep.allowlists import DENY, Allowlist, Entry
from wardkeep.allowlists.networks import BITS, blocks
from wardkeep.allowlists.providers import Ranges, read_ranges
from wardkeep.allowlists.reading import LARGEST, read_toml
from wardkeep.core.control import Control
from wardkeep.core.errors import BadInput
from wardkeep.core.text_files import read_text_file
from wardkeep.engine.config import Config
from wardkeep.engine.folder import ALLOWLIST

FROM_ALLOWLIST = "allowlist"  # in the metadata of a policy's field: list name → sentences of its entries
NAMES = "list "  # how a sentence of the policy names a list


def allowlist_path(config: Config) -> Path:
    """Where the file is; a relative name starts from the folder of `wardkeep.toml`."""
    return config.path.parent / Path(config.settings.allowlist_file).expanduser()


def declared_text(config: Config, *, new: bool = False) -> str:
    """The file's text; "" when there is none of the usual name, or one may be begun (`new`).

    Raises BadInput where it cannot be read, is no TOML by its name, or was named in `wardkeep.toml` and is not there.
    """
    path = allowlist_path(config)
    if path.suffix != ".toml":
        raise BadInput("the allowlist's file must end in .toml", where=str(path), todo="Set allowlist.file.")
    is_usual = config.settings.allowlist_file == ALLOWLIST
    return read_text_file(path, absent="" if is_usual or new else None, largest=LARGEST)


def declared(config: Config) -> Allowlist:
    """The allowlist in force, expired entries included. Raises BadInput with `file:line`."""
    return read_toml(declared_text(config), str(allowlist_path(config)))


def provider_ranges(config: Config) -> tuple[Ranges, ...]:
    """The operator's files of published ranges, each called after its file."""
    folder = config.path.parent
    return tuple(read_ranges(folder / Path(n).expanduser()) for n in config.settings.allowlist_providers)


def with_lists(config: Config, controls: Iterable[Control]) -> Config:
    """The policies with the entries of the lists that they name. Raises BadInput for a list that the file does not have,
    and for a fault of the file; one that no policy names is not even read."""
    for control in controls:
        for known in fields(control.policy):
            if known.metadata.get("from") == FROM_ALLOWLIST:
                config = _filled(config, control.id, known.name)
    return config


def _filled(config: Config, control: str, name: str) -> Config:
    held: dict[str, Any] = {"": config.policies.get(control)}
    held |= {host: policy for (host, row), policy in config.host_policies.items() if row == control}
    wanted = {host: _names(policy) for host, policy in held.items() if policy is not None}
    if not any(wanted.values()):
        return config
    told = _sentences(declared(config))
    missing = sorted({one for names in wanted.values() for one in names} - told.keys())
    if missing:
        raise BadInput(
            f"policy.{control} names the list `{missing[0]}`, which the file does not have",
            where=str(allowlist_path(config)),
            todo=f"Lists there: {', '.join(sorted(told)) or 'none'}. Write [list.{missing[0]}] for an empty one.",
        )
    filled = {
        host: replace(held[host], **{name: {one: told[one] for one in sorted(names)}})
        for host, names in wanted.items()
    }
    policies = {**config.policies, control: filled[""]} if "" in filled else config.policies
    hosts = {
        (host, row): filled[host] if row == control else p for (host, row), p in config.host_policies.items()
    }
    return replace(config, policies=policies, host_policies=hosts)


def _names(policy: Any) -> frozenset[str]:
    """The lists that any sentence of the policy names."""
    told: list[str] = []
    for known in fields(policy):
        value = getattr(policy, known.name)
        if isinstance(value, tuple):
            told += [one for one in value if isinstance(one, str)]
    return frozenset(one.strip().removeprefix(NAMES).strip() for one in told if one.strip().startswith(NAMES))


def _sentences(allowlist: Allowlist) -> Mapping[str, tuple[str, ...]]:
    """List → what each entry opens, as a sentence with its end; expired ones too: the day decides, not the reading."""
    found: dict[str, list[str]] = {name: [] for name in allowlist.lists}
    for entry in allowlist.entries:
        deny = "deny " if entry.action == DENY else ""
        until = f" until {entry.expires}" if entry.expires else ""
        found.setdefault(entry.list, []).append(
            f"{deny}{entry.service} from {', '.join(_networks(entry))}{until}"
        )
    return {name: tuple(told) for name, told in found.items()}


def _networks(entry: Entry) -> list[str]:
    network = entry.network
    made: list[str] = []
    for low, high in blocks(network.version, network.low, network.high):
        prefix = BITS[network.version] - (high - low + 1).bit_length() + 1
        if network.version == 4:
            made.append(str(IPv4Network((IPv4Address(low), prefix))))
        else:
            made.append(str(IPv6Network((IPv6Address(low), prefix))))
    return made
