"""Keep a plan in a file, whole and recognisable, without the secrets it will need."""

from __future__ import annotations

import json
import os
import secrets as random
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from crosprov import __version__
from crosprov.errors import PlanFileError, SecretError, StalePlan
from crosprov.planning.plan import FORMAT, Frozen, Plan, SecretNote, Write, digest_of
from crosprov.secrets import Secret, Vault, describe, fingerprint, resolve, same


class SavedPlan(Frozen):
    """What stands in a plan file: the plan, and the digest that proves it whole."""

    sha256: str
    plan: Plan


def save(plan: Plan, path: Path, vault: Vault) -> None:
    """Write a plan file, mode 0600, whole or not at all.

    Secrets are left out: the file keeps where each comes from and a salted digest.
    Raises PlanFileError when the file cannot be written.
    """
    plan = plan.model_copy(update={"secrets": _notes(plan, vault)})
    body = plan.model_dump(mode="json")
    text = json.dumps({"sha256": digest_of(body), "plan": body}, indent=1) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise PlanFileError(f"the plan file {path} cannot be written: {error.strerror}") from None


def load(path: Path, vault: Vault) -> Plan:
    """Read a plan file and the secrets that it needs.

    Raises PlanFileError for a file that is not a whole plan of this version, SecretError when
    a secret is no longer there, StalePlan when it has another value than it had.
    """
    try:
        raw = json.loads(path.read_text())
    except OSError as error:
        raise PlanFileError(f"the plan file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise PlanFileError(
            f"the plan file {path} is not JSON: it may have been cut off",
            hint="save it again: crosprov plan INVENTORY --out FILE",
        ) from None
    plan = _checked(raw, path)
    for note in plan.secrets:
        _restore(note, Path(plan.inventory).parent, vault)
    return plan


def looks_like_plan(path: Path) -> bool:
    """Tell whether a file given on the command line is meant as a plan rather than an inventory."""
    if path.suffix in (".yml", ".yaml"):
        return False
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return path.suffix == ".json"


def _checked(raw: Any, path: Path) -> Plan:
    body = raw.get("plan") if isinstance(raw, dict) else None
    if not isinstance(body, dict):
        raise PlanFileError(
            f"{path} is not a plan file",
            hint="crosprov plan INVENTORY --out FILE makes one",
        )
    if body.get("format") != FORMAT or body.get("crosprov") != __version__:
        maker = body.get("crosprov", "another program")
        raise PlanFileError(
            f"the plan file {path} was made by crosprov {maker}, and this is {__version__}",
            hint="make the plan again with this version",
        )
    if raw.get("sha256") != digest_of(body):
        raise PlanFileError(
            f"the plan file {path} was changed after it was saved",
            hint="make the plan again; a plan is applied exactly or not at all",
        )
    try:
        return Plan.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PlanFileError(f"the plan file {path} is damaged at {where}: {first['msg']}") from None


def _notes(plan: Plan, vault: Vault) -> tuple[SecretNote, ...]:
    contents = (
        step.content.decode("utf-8", "replace")
        for host in plan.hosts
        for change in host.changes
        for step in change.steps
        if isinstance(step, Write)
    )
    tokens = dict.fromkeys(token for content in contents for token in vault.tokens_in(content))
    notes = []
    for token in tokens:
        secret = vault.secret(token)
        salt = random.token_hex(16)
        digest = fingerprint(secret.value, salt)
        notes.append(SecretNote(token=token, source=secret.reference, salt=salt, digest=digest))
    return tuple(notes)


def _restore(note: SecretNote, base: Path, vault: Vault) -> None:
    try:
        reference = json.loads(note.source)
    except ValueError:
        raise SecretError("a secret of the plan file has no reference to read it from") from None
    value = resolve(reference, base)
    if not same(value, note.salt, note.digest):
        raise StalePlan(
            f"the secret from {describe(reference)} has changed since the plan was made",
            hint="make a new plan; nothing was changed",
        )
    vault.restore(note.token, Secret(value, describe(reference), note.source))
