"""What a plan is: per host the ordered changes, each complete enough to be carried out as is."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from crosprov.planning.preamble import PROGRESS
from crosprov.transport.base import SshTarget

FORMAT: Literal[1] = 1  # of the JSON; raised when a reader of the old one would misread the new one


class Frozen(BaseModel):
    """Be immutable, and refuse what is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Action(StrEnum):
    """Say what happens to a resource."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    RUN = "run"

    @property
    def mark(self) -> str:
        """Give the one character that stands before the resource in the text of a plan."""
        return {"create": "+", "update": "~", "delete": "-", "run": ">"}[self.value]

    @property
    def past(self) -> str:
        """Give the word for the summary after an apply."""
        return {"create": "created", "update": "updated", "delete": "deleted", "run": "run"}[
            self.value
        ]


class Resource(Frozen):
    """Name a thing on a host: its kind (file, unit, package, …) and its name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Shell(Frozen):
    """A shell command, run as root by `sh`; it never holds a secret."""

    do: Literal["shell"] = "shell"
    command: str

    @property
    def reports(self) -> bool:
        """Tell whether the command says how far it is while it runs."""
        return PROGRESS in self.command


class Write(Frozen):
    """Bytes that go into an existing private file; secrets stand in them as tokens."""

    do: Literal["write"] = "write"
    path: str = Field(description="absolute path on the host; its mode is 0600 at this time")
    content: Base64Bytes = Field(description="the bytes, in base64; secrets as tokens")


class Send(Frozen):
    """A large file of the controller that is streamed into an existing private file."""

    do: Literal["send"] = "send"
    path: str = Field(description="absolute path on the host; its mode is 0600 at this time")
    source: str = Field(description="absolute path on the controller")
    size: int = Field(description="bytes")
    sha256: str = Field(description="of the source when the plan was made; another one is refused")
    offset: int | None = Field(
        None, ge=0, description="where the bytes begin in a larger source; null: all of the source"
    )


class Reboot(Frozen):
    """Reboot the host, and go on when it answers with another boot id."""

    do: Literal["reboot"] = "reboot"
    within: float = Field(300.0, gt=0, description="seconds in which the host must be back")
    ask: bool = Field(True, description="a person is asked for it apart from the plan")


Step = Annotated[Shell | Write | Send | Reboot, Field(discriminator="do")]


class Change(Frozen):
    """One resource that will be brought to what it should be."""

    role: str = Field(description="the role whose deploy asked for it")
    operation: str = Field(description="the pyinfra operation, module and function")
    resource: Resource
    action: Action
    diff: str | None = Field(None, description="unified diff, for text")
    before: dict[str, str | None] = Field({}, description="attributes as observed")
    after: dict[str, str | None] = Field({}, description="attributes as they will be")
    restarts: tuple[str, ...] = Field((), description="units or jobs that this makes restart")
    unknown: tuple[str, ...] = Field((), description="what is known only after apply")
    steps: tuple[Step, ...] = Field((), description="what is carried out, in order")
    undo: str | None = Field(None, description="shell command that tidies up when a step failed")
    kept: str | None = Field(
        None, description="sha256 of the file as it was, its name among the before-images"
    )
    within: float | None = Field(
        None, gt=0, description="seconds it may take, where that is more than ssh.command_timeout"
    )
    destroys: str | None = Field(
        None, description="data that is gone for good after it; a person is asked for it apart"
    )

    @property
    def reboots(self) -> tuple[Reboot, ...]:
        """List the reboots among the steps."""
        return tuple(step for step in self.steps if isinstance(step, Reboot))


class Observation(Frozen):
    """One question that was asked of the host, and the digest of its answer."""

    fact: str = Field(description="what was asked, in words")
    command: str = Field(description="the shell command that asks it")
    digest: str = Field(description="sha256 of exit status and output")


class Readiness(Frozen):
    """A question over HTTP that a host answers when those that need it may go on."""

    port: int
    path: str
    status: int = 200

    def __str__(self) -> str:
        return f"port {self.port}, GET {self.path}"


class HostPlan(Frozen):
    """What will change on one host, and what it was observed to be when that was decided."""

    host: str
    roles: tuple[str, ...]
    state_dir: str = Field(description="where crosprov keeps its records on the host")
    target: SshTarget = Field(description="how the host is reached")
    needs: tuple[str, ...] = Field((), description="hosts that must be ready before this one")
    readiness: tuple[Readiness, ...] = ()
    changes: tuple[Change, ...] = ()
    notices: tuple[str, ...] = Field((), description="what the inventory asks and this cannot do")
    about: dict[str, str] = Field({}, description="what was observed and is worth showing")
    observed: tuple[Observation, ...] = ()
    round_trips: int = Field(0, description="commands sent to the host to make this plan")
    seconds: float = Field(0.0, description="connecting included")

    @property
    def empty(self) -> bool:
        """Tell whether nothing is left to do on the host."""
        return not self.changes

    @property
    def reboots(self) -> tuple[Reboot, ...]:
        """List the reboots of the host, in order."""
        return tuple(reboot for change in self.changes for reboot in change.reboots)

    @property
    def asks_to_reboot(self) -> bool:
        """Tell whether a person is asked for a reboot of the host apart from the plan."""
        return any(reboot.ask for reboot in self.reboots)

    @property
    def destroys(self) -> tuple[str, ...]:
        """List the data of the host that is gone for good afterwards."""
        return tuple(change.destroys for change in self.changes if change.destroys)

    @property
    def digest(self) -> str:
        """Digest all that was observed; equal digests mean that the host looks the same."""
        return digest_of([[o.command, o.digest] for o in self.observed])


class SecretNote(Frozen):
    """Where a secret comes from and a salted digest of its value, never the value."""

    token: str
    source: str = Field(description="the reference as the inventory gives it, as JSON")
    salt: str
    digest: str


class HostFailure(Frozen):
    """A host for which no plan could be made."""

    host: str
    error: str = Field(description="the kind of error")
    message: str
    hint: str | None = None
    reached: bool = Field(False, description="the host answered; something else went wrong")


class Plan(Frozen):
    """What will change in a lab."""

    format: Literal[1] = FORMAT
    crosprov: str = Field(description="version that made the plan")
    lab: str
    inventory: str = Field(description="absolute path of the inventory")
    created: str = Field(description="time in UTC, ISO 8601")
    twin: bool = Field(False, description="made against the virtual twin of the lab")
    hosts: tuple[HostPlan, ...]
    failures: tuple[HostFailure, ...] = ()
    waves: tuple[tuple[str, ...], ...] = Field((), description="hosts in the order of references")
    secrets: tuple[SecretNote, ...] = ()

    @property
    def empty(self) -> bool:
        """Tell whether nothing is left to do on any host that could be planned."""
        return all(host.empty for host in self.hosts)

    @property
    def round_trips(self) -> int:
        """Count the commands that were sent to make the plan."""
        return sum(host.round_trips for host in self.hosts)


def digest_of(value: object) -> str:
    """Digest a JSON value: sha256 in hex over its canonical text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
