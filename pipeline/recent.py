"""What was used last, kept in memory for several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The values used last; the oldest are forgotten when they are too many or, by
    `size`, too large together."""

    def __init__(self, most: int, room: int = 0, size: Callable[[T], int] = lambda value: 0) -> None:
        self._most, self._room, self._size = most, room, size
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._used = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> T | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Hashable, value: T) -> T:
        with self._lock:
            if key in self._kept:
                self._used -= self._size(self._kept.pop(key))
            self._kept[key] = value
            self._used += self._size(value)
            while len(self._kept) > self._most or self._used > self._room:
                self._used -= self._size(self._kept.popitem(last=False)[1])
        return value
