"""`--help` of every command: what it does, a real example, and what its exit status says; and each speaks JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from wardkeep.cli import COMMANDS, build


def commands(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Each command below this one, with the words that call it."""
    below = getattr(command, "commands", {})
    for name, one in below.items():
        yield from commands(one, *path, name)
    if not below:
        yield " ".join(path), command


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_says_its_exit_status(name: str) -> None:
    program: Any = typer.main.get_command(build(name))
    found = dict(commands(program.commands[name], name))
    assert found
    for words, command in found.items():
        assert "Example: wardkeep" in command.help, words
        assert "Exit status" in command.help, words
        unexplained = [
            option.name
            for option in command.params
            if option.param_type_name == "option" and not option.help and option.name != "help"
        ]
        assert not unexplained, words
        assert any("--json" in option.opts for option in command.params), words
