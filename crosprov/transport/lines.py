"""Output that comes in pieces of any size, line by line."""

from __future__ import annotations

from collections.abc import Callable


class Lines:
    """A sink of output that passes on each line, without its end, as soon as it is whole."""

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        self._sink = sink
        self._rest = b""

    def __call__(self, output: bytes) -> None:
        *lines, self._rest = (self._rest + output).split(b"\n")
        for line in lines:
            self._sink(line)

    def end(self) -> None:
        """Pass on what came after the last line's end."""
        if self._rest:
            self._sink(self._rest)
            self._rest = b""
