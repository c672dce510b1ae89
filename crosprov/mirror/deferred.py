"""What is needed, found out when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from functools import cached_property

from crosprov.mirror.model import Need, Needs


class Deferred(Mapping[str, Need]):
    """Stand for a mapping that takes its time; it is made once, at the first question."""

    def __init__(self, find: Callable[[], Needs]) -> None:
        self._find = find

    @cached_property
    def reading(self) -> Needs:
        """Give all that was found, with the mark of the trees as they were then."""
        return self._find()

    @property
    def _found(self) -> Mapping[str, Need]:
        return self.reading.archives

    def __getitem__(self, name: str) -> Need:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def keys(self) -> KeysView[str]:
        """Give the names as fast as the mapping itself does."""
        return self._found.keys()

    def values(self) -> ValuesView[Need]:
        """Give the needs as fast as the mapping itself does."""
        return self._found.values()

    def items(self) -> ItemsView[str, Need]:
        """Give both as fast as the mapping itself does."""
        return self._found.items()
