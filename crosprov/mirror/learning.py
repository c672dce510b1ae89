"""What ebuilds say of which the tree's cache does not tell: known from before, or sourced now."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from crosprov.mirror.contents import Contents
from crosprov.mirror.events import Events, Sourcing
from crosprov.mirror.metadata import Metadata, Stale
from crosprov.mirror.sourced_memory import Entry, SourcedMemory
from crosprov.mirror.sourcing import Sourced, Wanted, source


@dataclass(frozen=True, slots=True)
class Learned:
    """Hold what an ebuild says, or why that is not known, and whether it was sourced now."""

    metadata: Metadata | Stale
    is_new: bool


def learn(
    folders: Sequence[Path],
    wanted: Sequence[Wanted],
    memory: SourcedMemory | None,
    events: Events,
) -> list[Learned]:
    """Find out what ebuilds of the first folder say; one answer each, in order.

    Those that the memory does not know are sourced, which runs their code and that of eclasses of
    all folders. What was learned so far is remembered when this is interrupted, too.
    """
    contents = Contents(folders)
    recalled = [memory.recall(one, contents) if memory else None for one in wanted]
    asked = [one for one, known in zip(wanted, recalled, strict=True) if known is None]
    learning = _Learning(folders, memory, contents)
    with closing(learning.source(asked, events)) as answers:
        return [
            Learned(next(answers), is_new=True) if known is None else Learned(known, is_new=False)
            for known in recalled
        ]


@dataclass(frozen=True, slots=True)
class _Learning:
    """Source ebuilds and remember what they say; `before` is what the contents were by then."""

    folders: Sequence[Path]
    memory: SourcedMemory | None
    before: Contents

    def source(
        self, asked: Sequence[Wanted], events: Events
    ) -> Generator[Metadata | Stale, None, None]:
        """Give an answer for each, in order."""
        if not asked:
            return
        if self.memory is not None:
            self.before.read(asked)
        events(Sourcing(0, len(asked)))
        try:
            answers = source(self.folders, asked)
            for number, (one, answer) in enumerate(zip(asked, answers, strict=True), 1):
                if isinstance(answer, Sourced):
                    self._keep(one, answer)
                events(Sourcing(number, len(asked)))
                yield answer.metadata if isinstance(answer, Sourced) else answer
        finally:
            if self.memory is not None:
                self.memory.write()

    def _keep(self, wanted: Wanted, answer: Sourced) -> None:
        """Remember an answer, if what it was read from is what it was before and is now."""
        if self.memory is None:
            return
        before, now = self.before, Contents(self.folders)
        ebuild, eclasses = now.ebuild(wanted), now.inherited(answer.inherited)
        if ebuild is None or ebuild != before.ebuild(wanted):
            return
        if eclasses is None or eclasses != before.inherited(answer.inherited):
            return
        self.memory.keep(now.path_of(wanted), Entry(ebuild, eclasses, answer.metadata))
