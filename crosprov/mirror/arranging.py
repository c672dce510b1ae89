"""The hashed layout beside the flat one: hard links in 256 folders, and layout.conf last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from crosprov.mirror import layouts
from crosprov.mirror.findings import several
from crosprov.mirror.folder import Folder, fault_of, sync_folder
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.stores import Stored


class Arranger:
    """Give files of a folder their second names, where they have none yet; safe for threads."""

    def __init__(self, folder: Folder) -> None:
        """Look at the names that are there; raises Fault."""
        self._folder = folder
        self._inodes = _inodes(folder.place)
        self._linked: set[str] = set()  # folders that got a link

    def arrange(self, stored: Stored) -> Stored | None:
        """Link a file into its folder; None when it has its link. Raises Fault.

        A link is a change of the inode: the file has another mark afterwards.
        """
        path = layouts.GENTOO.path(Archive(stored.name, stored.size, {}))
        if path is None or self._inodes.get(path) == stored.mark.partition("-")[0]:
            return None
        folder = path.partition("/")[0]
        try:
            self._make(folder)
            # Of a symbolic link the file is meant: seen from below, it would lead nowhere.
            os.link(os.path.realpath(f"{self._folder.place}/{stored.name}"), self._at(path))
        except FileExistsError:
            self._compare(stored, path)
            return None
        except OSError as error:
            raise _unlinked(self._folder.place, stored.name, path, error) from None
        self._linked.add(folder)
        return self._folder.find(stored.name)

    def finish(self, misplaced: int) -> str | None:
        """Write layout.conf when all links are there; give what is wrong with one that is.

        `misplaced` files have no second name: then it is not written. Raises Fault.
        """
        path = Path(self._folder.place, layouts.NAME)
        try:
            found = layouts.read_layouts(path.read_bytes()) if path.exists() else None
            for name in self._linked if found else self._folders():
                sync_folder(self._at(name))
            if found is None and not misplaced:
                sync_folder(self._folder.place)
                self._write(path, layouts.written((layouts.GENTOO, layouts.Flat())))
        except OSError as error:
            raise fault_of(self._folder.place, layouts.NAME, "written", error) from None
        if found is not None and layouts.GENTOO not in found:
            return f"{path} does not name the layout {layouts.GENTOO}, and is left as it is"
        return _word(misplaced, path, is_there=found is not None) if misplaced else None

    def _at(self, path: str) -> str:
        return f"{self._folder.place}/{path}"

    def _make(self, folder: str) -> None:
        try:
            os.mkdir(self._at(folder))
        except FileExistsError:
            if not os.path.isdir(self._at(folder)):
                raise Fault(
                    f"{folder} is a file, and links have to go into a folder of that name",
                    hint="move it away, and the next sync makes the folder",
                    where=self._folder.place,
                ) from None

    def _folders(self) -> set[str]:
        """Name the folders that hold links; a killed sync may have left some that may get lost."""
        return self._linked | {path.partition("/")[0] for path in self._inodes}

    def _write(self, path: Path, content: bytes) -> None:
        ready = self._folder.make_incoming() / f"copy-{os.getpid()}-{layouts.NAME}"
        try:
            with open(ready, "wb") as file:
                file.write(content)
                os.fchmod(file.fileno(), 0o444)
                os.fsync(file.fileno())
            os.link(ready, path)
            sync_folder(self._folder.place)
        except FileExistsError:
            pass  # another sync was faster
        finally:
            ready.unlink(missing_ok=True)

    def _compare(self, stored: Stored, path: str) -> None:
        """Make sure that a second name of another inode has the same content; raises Fault."""
        there = self._folder.find(path)
        pairs = zip(self._folder.read(stored.name), self._folder.read(path), strict=False)
        if there is None or there.size != stored.size or any(a != b for a, b in pairs):
            raise Fault(
                f"{path} is there and is not {stored.name}; it is left as it is",
                hint="move it away, and the next sync links the true one",
                where=self._folder.place,
            )


def _word(misplaced: int, path: Path, *, is_there: bool) -> str:
    """Say what files without a second name mean for layout.conf."""
    lacking = f"without a name in the layout {layouts.GENTOO}: {several(misplaced, 'file')}"
    if is_there:
        return f"{path} promises what is not so, and is left as it is; {lacking}"
    return f"{path} is not written; {lacking}"


def _unlinked(place: str, name: str, path: str, error: OSError) -> Fault:
    """Word why a link cannot be made; Linux keeps accounts from linking the files of others."""
    if isinstance(error, PermissionError):
        hint = f"{name} has to belong to the account that syncs, and the folder to let it write"
        return Fault(f"{path} cannot be linked: {error.strerror}", hint=hint, where=place)
    return fault_of(place, path, "linked", error)


def _inodes(place: str) -> Mapping[str, str]:
    """Read the inode of each file in folders of two hexadecimal digits."""
    found: dict[str, str] = {}
    for number in range(256):
        name = f"{number:02x}"
        try:
            with os.scandir(f"{place}/{name}") as entries:
                for entry in entries:
                    found[f"{name}/{entry.name}"] = str(entry.inode())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise fault_of(place, name, "listed", error) from None
    return found
