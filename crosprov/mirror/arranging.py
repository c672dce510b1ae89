"""The hashed layout beside the flat one: hard links in 256 folders, and layout.conf last."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from crosprov.mirror import layouts
from crosprov.mirror.folder import Folder, fault_of, sync_folder
from crosprov.mirror.model import Archive, Fault
from crosprov.mirror.stores import Stored


class Arranger:
    """Give files of a folder their second names, where they have none yet."""

    def __init__(self, folder: Folder) -> None:
        """Look at the names that are there; raises Fault."""
        self._folder = folder
        self._inodes = _inodes(folder.place)

    def arrange(self, stored: Stored) -> Stored | None:
        """Link a file into its folder; None when it has its link. Raises Fault.

        A link is a change of the inode: the file has another mark afterwards.
        """
        path = layouts.GENTOO.path(Archive(stored.name, stored.size, {}))
        if path is None or self._inodes.get(path) == stored.mark.partition("-")[0]:
            return None
        source, target = f"{self._folder.place}/{stored.name}", f"{self._folder.place}/{path}"
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.link(source, target)
        except FileExistsError:
            self._compare(stored, path)
            return None
        except OSError as error:
            raise fault_of(self._folder.place, path, "linked", error) from None
        return self._folder.find(stored.name)

    def finish(self) -> str | None:
        """Write layout.conf when all links are there; give what is wrong with one that is."""
        folders = {path.partition("/")[0] for path in self._inodes}
        for name in folders:
            sync_folder(f"{self._folder.place}/{name}")
        wanted = layouts.written((layouts.GENTOO, layouts.Flat()))
        path = Path(self._folder.place, layouts.NAME)
        if path.exists():
            found = layouts.read_layouts(path.read_bytes())
            if layouts.GENTOO in found:
                return None
            return f"{path} does not name the layout {layouts.GENTOO}, and is left as it is"
        self._write(path, wanted)
        return None

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
        except OSError as error:
            raise fault_of(self._folder.place, layouts.NAME, "written", error) from None
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
