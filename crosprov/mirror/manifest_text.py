"""A Manifest as Portage writes it: kinds, names and hashes sorted, one line for each file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from crosprov.mirror.measuring import measure_file
from crosprov.mirror.model import Archive, Fault

_NOT_LISTED = frozenset({"Manifest", "CVS"})


def manifest_text(entries: Iterable[tuple[str, Archive]]) -> str:
    """Write the lines of `(tag, archive)` in the order of tags, then of names."""
    return "".join(
        f"{_line(tag, archive)}\n"
        for tag, archive in sorted(entries, key=lambda entry: (entry[0], entry[1].name))
    )


def _line(tag: str, archive: Archive) -> str:
    hashes = (f"{name} {digest}" for name, digest in sorted(archive.hashes.items()))
    return " ".join((tag, archive.name, str(archive.size), *hashes))


def local_entries(folder: Path, algorithms: Iterable[str]) -> Iterator[tuple[str, Archive]]:
    """Measure what a Manifest that is not thin lists beside archives (GLEP 44, file types).

    AUX are the files below `files`, named from there, EBUILD the ebuilds, MISC all others.
    Raises Fault for a name that no line of a Manifest can hold.
    """
    chosen = tuple(algorithms)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if hidden or name.parts[0] in _NOT_LISTED or not path.is_file():
            continue
        _check_can_be_written(name.as_posix(), path)
        if name.parts[0] == "files":
            yield "AUX", measure_file(path, chosen, name.relative_to("files").as_posix())
        elif len(name.parts) == 1:
            tag = "EBUILD" if path.suffix == ".ebuild" else "MISC"
            yield tag, measure_file(path, chosen)


def _check_can_be_written(name: str, path: Path) -> None:
    """Raise Fault for a name that readers would take apart, or for something else (GLEP 74)."""
    if not name.isprintable() or " " in name or "\\" in name:
        raise Fault(
            "the file's name cannot stand in a Manifest: it has white space, a backslash, or what "
            "is no text",
            hint="rename it, and what the ebuild says of it",
            where=repr(str(path)),
        )


def read_bytes(path: Path) -> bytes:
    """Read a Manifest; an absent one is empty. Raises Fault."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Fault(f"the Manifest cannot be read: {error.strerror}", where=str(path)) from None


def replace_text(path: Path, text: str) -> None:
    """Put a text in a file's place, all of it or nothing; raises Fault."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        descriptor, draft = tempfile.mkstemp(prefix=".Manifest.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        raise Fault(f"the Manifest cannot be written: {error.strerror}", where=str(path)) from None
