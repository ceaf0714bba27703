"""`wardkeep settings`: what is in force, and why."""

from __future__ import annotations

from dataclasses import asdict

from wardkeep.cli.options import Json, State


def command(state: State = None, json: Json = False) -> None:
    """Every number and policy in force, with its value and where it comes from.

    Example: wardkeep settings --json. Exit status: 0; 2 when the file has a fault.
    """
    from wardkeep.cli.terminal import console, print_json, table
    from wardkeep.engine.folder import find_folder
    from wardkeep.engine.platform import open_platform
    from wardkeep.engine.policy_record import policy_on_record
    from wardkeep.engine.settings import settings_in_force

    with open_platform(find_folder(state)) as platform:
        told = settings_in_force(platform.config, platform.controls)
        if json:
            print_json([asdict(one) for one in told])
            return
        out = console()
        out.print(f"File: {platform.config.path}    Profile: {platform.config.profile.title}")
        if known := policy_on_record(platform):
            word = (
                "In force since"
                if known.current
                else "Not on record before the next look; the one before since"
            )
            out.print(f"{word} {known.at:%Y-%m-%d %H:%M} UTC, entry {known.entry} of the ledger")
        made = table(("key", {"no_wrap": True}), ("value", {"overflow": "fold"}), ("from", {"no_wrap": True}))
        for one in told:
            made.add_row(one.key, _show(one.value), one.source)
        out.print(made)


def _show(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} = {one}" for name, one in value.items()) or "none"
    return str(value) if value != "" else "not set"
