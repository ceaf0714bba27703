"""Facts already read from the very same bytes: hosts of one kind give many equal answers, and parsing is pure."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Memo:
    """The least recently wanted values go first once the sizes they were put in with exceed `budget` (bytes)."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._held: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._size = 0
        self._turn = threading.Lock()

    def get(self, key: Hashable, size: int | Callable[[], int], make: Callable[[], object]) -> object:
        """The value of the key, made now if it is not held. Exceptions of `make` pass and are not remembered.

        `size` (bytes) may be a function, which is asked for a new value alone. A value larger than a sixteenth of the budget is not held: it would push out everything else.
        """
        with self._turn:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]
        made = make()
        size = size() if callable(size) else size
        if size * 16 <= self.budget:
            with self._turn:
                if key not in self._held:
                    self._held[key] = (made, size)
                    self._size += size
                while self._size > self.budget:
                    self._size -= self._held.popitem(last=False)[1][1]
        return made
