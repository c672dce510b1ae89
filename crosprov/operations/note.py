"""Let an operation say what its commands do, for an exact plan.

To pyinfra a `Noted` command is an ordinary command, so our operations also run in its own
program. To crosprov's planner it carries the change: resource, action, diff, restarts.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from io import BytesIO
from typing import IO, cast

from pyinfra.api import FileUploadCommand, StringCommand
from pyinfra.api.command import PyinfraCommand

from crosprov.localfiles import Stretch
from crosprov.planning.plan import Action, Resource
from crosprov.planning.preamble import PROGRESS as PROGRESS
from crosprov.secrets import vault

Commands = Generator[PyinfraCommand, None, None]
"""What an operation gives."""


@dataclass(frozen=True, slots=True)
class Note:
    """Describe the change that an operation's commands make.

    `within` is in seconds, for a change that may take longer than `ssh.command_timeout`.
    `destroys` names data that is gone for good afterwards; a person is asked for that apart.
    """

    kind: str
    name: str
    action: Action
    diff: str | None = None
    before: dict[str, str | None] = field(default_factory=dict)
    after: dict[str, str | None] = field(default_factory=dict)
    restarts: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    undo: str | None = None
    kept: str | None = None
    within: float | None = None
    destroys: str | None = None

    @property
    def resource(self) -> Resource:
        """Name the resource that changes."""
        return Resource(kind=self.kind, name=self.name)


class Noted(StringCommand):
    """A shell command, and the note of the whole change that it begins."""

    def __init__(self, command: str, note: Note) -> None:
        super().__init__(command)
        self.note = note


class Content(FileUploadCommand):
    """Bytes for a private file that an earlier command made; secrets stand in them as tokens."""

    def __init__(self, content: bytes, dest: str) -> None:
        super().__init__(BytesIO(vault.reveal(content)), dest)
        self.content = content


class LocalFile(FileUploadCommand):
    """A large file of the controller, for a private file that an earlier command made.

    With `offset` it is the `size` bytes from there on in a larger file.
    """

    def __init__(
        self, source: str, size: int, sha256: str, dest: str, *, offset: int | None = None
    ) -> None:
        whole_or_part = source if offset is None else cast(IO[bytes], Stretch(source, offset, size))
        super().__init__(whole_or_part, dest)
        self.source = source
        self.size = size
        self.sha256 = sha256
        self.offset = offset
