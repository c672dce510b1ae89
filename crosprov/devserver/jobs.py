"""What is under way: one job for each thing of a build, however many ask for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from crosprov.devserver.artifacts import Artifact
from crosprov.devserver.downloads import Download
from crosprov.devserver.failures import Refused
from crosprov.devserver.markers import file_key


@dataclass(frozen=True, slots=True)
class Item:
    """An artifact, or a plain file, of a build at a source."""

    build: str
    source: str
    name: str
    artifact: Artifact | None = None

    @property
    def key(self) -> str:
        """Tell artifacts and plain files of one name apart."""
        return self.name if self.artifact is not None else file_key(self.name)


class Job:
    """One attempt to stage an item.

    A background job is optional: when it fails, nobody is told, unless somebody asked for the
    item meanwhile, which makes it a job like any other.
    """

    def __init__(self, item: Item, *, within: float, is_background: bool) -> None:
        self.item = item
        self.within = within
        self.is_background = is_background
        self.finished = threading.Event()
        self.failure: Refused | None = None
        self._downloads: list[Download] = []
        self._claim = threading.Lock()

    def claim(self) -> bool:
        """Take the job, which may be queued twice; true for the first only."""
        return self._claim.acquire(blocking=False)

    def watch(self, download: Download) -> None:
        """Count a download as part of this job."""
        self._downloads.append(download)

    @property
    def downloads(self) -> tuple[Download, ...]:
        """Give the downloads that began so far, in their order."""
        return tuple(self._downloads)

    def wait(self) -> None:
        """Wait for the end; raises Refused when the job failed."""
        self.finished.wait()
        if self.failure is not None:
            raise Refused(self.failure.status, self.failure.sentence)
