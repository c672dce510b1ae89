"""Files that were uploaded to Dome and wait to be used: one row and one folder for each."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path

from crosprov.twin.factory.dome.answers import bad_field
from crosprov.twin.factory.dome.database import now, opened
from crosprov.twin.factory.exchange import Body

_PIECE = 1 << 20


class Uploads:
    """The uploaded files of a database, kept in a folder that Umpires share."""

    def __init__(self, database: Path, folder: Path) -> None:
        self._database = database
        self.folder = folder

    def receive(self, body: Body, boundary: str) -> dict[str, object]:
        """Store the part `file` of a form. Raises Refusal when there is none."""
        self.folder.mkdir(parents=True, exist_ok=True)
        prefix = time.strftime("%Y%m%d%H%M%S-")
        for part in Parts(body, boundary):
            if part.name == "file" and part.filename:
                folder = Path(tempfile.mkdtemp(prefix=prefix, dir=self.folder))
                folder.chmod(0o755)
                path = folder / Path(part.filename).name
                with path.open("wb") as file:
                    for piece in part:
                        file.write(piece)
                return self._record(str(path.relative_to(self.folder)))
            for _ in part:
                continue
        raise bad_field("file", "No file was submitted.")

    @contextmanager
    def taken(self, key: int) -> Iterator[Path]:
        """Give the path of an uploaded file, which is gone afterwards.

        Raises LookupError when no such file waits.
        """
        with opened(self._database) as connection:
            row = connection.execute(
                "SELECT file FROM backend_temporaryuploadedfile WHERE id = ?", (key,)
            ).fetchone()
        if row is None:
            raise LookupError(f"TemporaryUploadedFile {key} does not exist")
        path = self.folder / str(row[0])
        try:
            yield path
        finally:
            with opened(self._database) as connection:
                connection.execute("DELETE FROM backend_temporaryuploadedfile WHERE id = ?", (key,))
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()

    def forget_all(self) -> None:
        """Drop the rows, as is done when Dome's containers are made anew; files stay."""
        with opened(self._database) as connection:
            connection.execute("DELETE FROM backend_temporaryuploadedfile")

    def _record(self, path: str) -> dict[str, object]:
        created = now()
        with opened(self._database) as connection:
            done = connection.execute(
                "INSERT INTO backend_temporaryuploadedfile (file, created) VALUES (?, ?)",
                (path, created),
            )
        stamp = created.replace(" ", "T") + "Z"
        return {"id": done.lastrowid, "file": path, "created": stamp}


class Part:
    """One part of a form; iterating gives its bytes in pieces."""

    def __init__(self, headers: Message, source: Parts) -> None:
        self.name = str(headers.get_param("name", "", "content-disposition"))
        self.filename = str(headers.get_param("filename", "", "content-disposition"))
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        return self._source.until_boundary()


class Parts:
    """The parts of a multipart/form-data body, none of which need fit into memory."""

    def __init__(self, body: Body, boundary: str) -> None:
        self._body = body
        self._mark = b"\r\n--" + boundary.encode()
        self._held = b"\r\n"

    def __iter__(self) -> Iterator[Part]:
        for _ in self.until_boundary():
            continue
        while self._headers_follow():
            yield Part(self._headers(), self)

    def until_boundary(self) -> Iterator[bytes]:
        """Give what comes before the next boundary, and pass over the boundary."""
        while True:
            at = self._held.find(self._mark)
            if at >= 0:
                yield self._held[:at]
                self._held = self._held[at + len(self._mark) :]
                return
            safe = len(self._held) - len(self._mark)
            if safe > 0:
                yield self._held[:safe]
                self._held = self._held[safe:]
            if not self._more():
                raise bad_field("file", "The submitted form ends in the middle of a part.")

    def _headers_follow(self) -> bool:
        while len(self._held) < 2 and self._more():
            continue
        return self._held[:2] == b"\r\n"

    def _headers(self) -> Message:
        while b"\r\n\r\n" not in self._held and self._more():
            continue
        text, _, self._held = self._held[2:].partition(b"\r\n\r\n")
        headers = Message()
        for line in text.decode(errors="replace").split("\r\n"):
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        return headers

    def _more(self) -> bool:
        piece = self._body.read(_PIECE)
        self._held += piece
        return bool(piece)


def parse_boundary(kind: str) -> str | None:
    """Return the boundary of a Content-Type, None of any other kind than a form's parts."""
    headers = Message()
    headers["content-type"] = kind
    if headers.get_content_type() != "multipart/form-data":
        return None
    boundary = headers.get_param("boundary")
    return str(boundary) if boundary else None
