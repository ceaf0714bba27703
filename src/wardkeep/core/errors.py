"""Errors that a person reads: one line that says what, where and what to do."""

from __future__ import annotations

from wardkeep.core.printable import printable


class WardkeepError(Exception):
    """A fault with a sentence for the person in front of the terminal.

    `what` says what is wrong, `where` names the file, host or option, `todo` is the next act.
    None of them may carry a secret or health data: this text reaches logs and the ledger.
    """

    exit_status = 2

    def __init__(self, what: str, *, where: str = "", todo: str = "") -> None:
        self.what, self.where, self.todo = what, where, todo
        super().__init__(self.line())

    def line(self) -> str:
        """The whole error in one line, without line breaks whatever the parts contain."""
        return self._told(self.without_todo)

    @property
    def without_todo(self) -> str:
        """The line without `todo`: where the next act stands beside it."""
        return " ".join((f"{self.where}: {self.what}" if self.where else self.what).split())

    @property
    def without_place(self) -> str:
        """The line without `where`: for evidence, which says the same wherever the state lies."""
        return self._told(self.what)

    def _told(self, head: str) -> str:
        text = f"{head.rstrip('.')}. {self.todo}" if self.todo else head
        # What a file says is quoted in it: it must not move a terminal's cursor or hide the rest.
        return printable(" ".join(text.split()))


class BadInput(WardkeepError):
    """What the caller gave cannot be used."""


class NotUnderstood(WardkeepError):
    """A parser refuses an answer. The fact becomes `Unknown`; it is never guessed."""


class Refused(WardkeepError):
    """An act was refused because carrying it out would be dangerous."""


class Unavailable(WardkeepError):
    """Something Wardkeep needs (a store, a lock, a host) cannot be reached now."""
