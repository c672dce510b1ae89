"""Putting files in their places in a build's folder: all of an artifact, or none after all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout
from crosprov.devserver.markers import Markers
from crosprov.devserver.session import Session

NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
JOURNAL = ".journal"  # the end of the names of journals


class Installer:
    """Put the files of an artifact into a build, and its mark behind them.

    Each file appears at once. A journal of those that are new lies among what is not whole yet
    until the mark is written: where that does not happen they are removed again, by this
    process or by the next one.
    """

    def __init__(self, layout: Layout, session: Session) -> None:
        self._layout = layout
        self._session = session
        self._markers = Markers(layout)

    def second_name(self, source: Path) -> Path:
        """Give a file another name of one's own; the first one stays."""
        scratch = self._session.scratch()
        try:
            os.link(source, scratch)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            shutil.copy(source, scratch)
        return scratch

    def install(self, build: str, key: str, files: Mapping[str, Path]) -> None:
        """Move files to paths below the build's folder, and mark them as staged.

        Raises Refused(409) when something of another kind is in the way.
        """
        folder = self._layout.folder(build)
        new = [path for path in files if not os.path.lexists(folder / path)]
        journal = self._session.scratch().with_suffix(JOURNAL)
        scratch = self._session.scratch()
        scratch.write_text(json.dumps({"build": build, "paths": new}))
        os.replace(scratch, journal)
        try:
            checked: set[Path] = set()
            for path, source in files.items():
                _move(source, folder, path, checked)
            self._markers.write(build, key, files, self._session.scratch())
        except BaseException:
            undo(self._layout, journal)
            raise
        journal.unlink()


def undo_all(layout: Layout, folder: Path) -> None:
    """Undo what a process left that was killed, by the journals in its folder."""
    for journal in folder.glob(f"*{JOURNAL}"):
        undo(layout, journal)


def undo(layout: Layout, journal: Path) -> None:
    """Remove the files of a journal that no mark lists, and the journal."""
    with suppress(OSError, ValueError, TypeError, KeyError, Refused):
        record = json.loads(journal.read_text())
        folder = layout.folder(record["build"])
        marks = Markers(layout).all(record["build"]).values()
        kept = {file.path for mark in marks for file in mark}
        _remove(folder, [path for path in record["paths"] if path not in kept])
    journal.unlink(missing_ok=True)


def _remove(folder: Path, paths: Iterable[str]) -> None:
    for path in paths:
        if not _is_below(folder, (folder / path).parent):
            continue
        with suppress(OSError):
            (folder / path).unlink()
        with suppress(OSError):  # one with something in it stays
            for parent in (folder / path).relative_to(folder).parents[:-1]:
                (folder / parent).rmdir()


def _move(source: Path, folder: Path, path: str, checked: set[Path]) -> None:
    place = folder / path
    try:
        if place.parent not in checked:
            if not _is_below(folder, place.parent):
                raise Refused(409, f"{place.parent} is a link that leads out of the build's folder")
            place.parent.mkdir(parents=True, exist_ok=True)
            checked.add(place.parent)
        os.replace(source, place)
    except (IsADirectoryError, NotADirectoryError, FileExistsError):
        raise Refused(
            409, f"{place} cannot be stored: a file or folder of another kind is in its way"
        ) from None
    source.unlink(missing_ok=True)  # a rename between two names of one file does nothing


def _is_below(folder: Path, path: Path) -> bool:
    real = Path(os.path.realpath(path))
    return real == folder or folder in real.parents
