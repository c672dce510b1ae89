"""Write files whole, and trees with the modes that a host's system expects."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file so that a reader, or a killed writer, never sees half of it."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


@dataclass(frozen=True, slots=True)
class Tree:
    """A directory that will be seen as the root of a host; paths begin with a slash."""

    root: Path

    def directory(self, path: str, mode: int = 0o755) -> Path:
        """Make a directory and its parents; parents are open to everybody."""
        target = self.root
        if not target.is_dir():
            target.mkdir(parents=True)
        target.chmod(0o755)
        for part in path.strip("/").split("/"):
            target = target / part
            if not target.is_dir():
                target.mkdir()
                target.chmod(0o755)
        target.chmod(mode)
        return target

    def file(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        parent, name = path.rsplit("/", 1)
        directory = self._parent(parent)
        data = content.encode() if isinstance(content, str) else content
        write_whole(directory / name, data, mode)

    def symlink(self, path: str, to: str) -> None:
        parent, name = path.rsplit("/", 1)
        link = self._parent(parent) / name
        link.unlink(missing_ok=True)
        link.symlink_to(to)

    def hide(self, path: str) -> None:
        """Hide what lower layers have at a path: an overlay takes this device for a whiteout."""
        parent, name = path.rsplit("/", 1)
        node = self._parent(parent) / name
        if not node.is_char_device():
            node.unlink(missing_ok=True)
            os.mknod(node, 0o020000, os.makedev(0, 0))

    def _parent(self, path: str) -> Path:
        there = self.root / path.strip("/")
        return there if there.is_dir() else self.directory(path)
