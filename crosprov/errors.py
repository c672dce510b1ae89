"""Every error that crosprov raises on purpose.

CrosprovError                 exit 1
├── UsageError                exit 64   the command line asks for something impossible
├── InventoryError            exit 1    the inventory has problems; carries all of them
├── PlanError                 exit 1    a plan cannot be made
│   ├── NotPlannable                    an operation decides only while it runs
│   └── PlanFileError                   a saved plan cannot be read
├── StalePlan                 exit 3    a host no longer looks as it did when the plan was made
├── HostError                 exit 4    one host failed; names it
│   ├── Unreachable                     no connection could be made
│   ├── HostKeyRejected                 the host's key is unknown or another one
│   ├── LoginRefused                    the host did not accept any of the keys
│   ├── HostSilent                      a time limit passed, or the connection went away
│   ├── HostGone                        it was rebooted and did not come back
│   ├── NoPrivilege                     sudo would ask for a password, or is missing
│   ├── HostBusy                        another run holds the host
│   └── ChangeFailed                    a command of the plan failed
├── TwinError                 exit 1    the virtual lab cannot be booted or found
└── SecretError               exit 1    a secret's reference leads nowhere

A message is one sentence that says what is wrong and where; a hint says the remedy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class CrosprovError(Exception):
    """Say what is wrong in one sentence, with a hint where there is a remedy."""

    exit_code: ClassVar[int] = 1
    reached: ClassVar[bool] = True  # whether the host, if it is about one, has answered

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def kind(self) -> str:
        """Name the error as the tree above does; a module's private kinds count as their base."""
        names = (kind.__name__ for kind in type(self).__mro__)
        return next(name for name in names if not name.startswith("_"))


class UsageError(CrosprovError):
    """The command line asks for something impossible."""

    exit_code = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """Say one thing that is wrong in an inventory, and where.

    Lines and columns count from one. `host` is None for what belongs to no host, `field`
    is a dotted path from the host (or from the top of the file), "" for the whole.
    """

    file: str
    line: int
    column: int
    host: str | None
    field: str
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}"
        host = f"host {self.host}" if self.host else ""
        return ": ".join(part for part in (where, host, self.field, self.message) if part)


class InventoryError(CrosprovError):
    """The inventory has problems; `problems` holds all of them in the order of the file."""

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"{file} has {count}")
        self.file = file
        self.problems = problems


class PlanError(CrosprovError):
    """A plan cannot be made."""


class NotPlannable(PlanError):
    """An operation decides only while it runs, so no plan of it can be true."""


class PlanFileError(PlanError):
    """A saved plan cannot be read, or was saved by another version."""


class StalePlan(CrosprovError):
    """A host no longer looks as it did when the plan was made."""

    exit_code = 3


class HostError(CrosprovError):
    """One host failed; the others go on."""

    exit_code = 4

    def __init__(self, host: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.host = host


class Unreachable(HostError):
    """No connection to the host could be made."""

    reached = False


class HostKeyRejected(HostError):
    """The host's key is unknown, or is not the one on record."""

    reached = False


class LoginRefused(HostError):
    """The host accepted none of the keys offered."""

    reached = False


class HostSilent(HostError):
    """A time limit passed without an answer, or the connection went away."""

    reached = False


class HostGone(HostError):
    """The host was rebooted and did not come back in its time."""

    reached = False


class NoPrivilege(HostError):
    """The account may not become root without a prompt."""


class HostBusy(HostError):
    """Another run of crosprov is at work on the host."""


class ChangeFailed(HostError):
    """A command of the plan failed on the host."""


class TwinError(CrosprovError):
    """The virtual lab cannot be booted, or is not up."""


class SecretError(CrosprovError):
    """The reference of a secret leads to nothing."""
