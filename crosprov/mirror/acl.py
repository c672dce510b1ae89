"""ACLs of a mirror's objects: what they are, and what a forgotten one is repaired to.

A public mirror's objects are read by everybody, a private one's by nobody outside of the
project but those whom somebody named: such grants, to a partner for a file, are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

from google.api_core import exceptions as answers

from crosprov.mirror.bucket import Bucket
from crosprov.mirror.google_client import worded
from crosprov.mirror.mirrors import Mirror
from crosprov.mirror.model import Fault
from crosprov.mirror.readback import is_open

State = Literal["right", "repaired", "wrong", "missing", "uniform", "unseen"]

EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
_AT_ONCE = 8  # requests under way
_LIMITS = (10.0, 60.0)  # seconds: to connect, and of silence
_LEAK = "caches may give it out for an hour more, and who has it keeps it: tell its owner"


@dataclass(frozen=True, slots=True)
class Repair:
    """Say of an object what its ACL was and what became of it.

    `right` needed nothing; `repaired` was changed; `wrong` is as it should not be, and stays
    so; `uniform` has no ACL since the bucket decides; `unseen` could not be looked at.
    """

    name: str
    state: State
    sentence: str
    hint: str | None = None

    @property
    def good(self) -> bool:
        """Tell whether nothing is left to be done."""
        return self.state in ("right", "repaired")


def repair_acls(
    mirror: Mirror,
    names: Sequence[str] | None = None,
    *,
    store: Bucket | None = None,
    dry_run: bool = False,
) -> tuple[Repair, ...]:
    """Look at the ACLs of files, or of all files, and repair those that are wrong.

    With `dry_run` nothing is changed. Raises Fault for a mirror that is no bucket, and when the
    bucket cannot be used.
    """
    if not mirror.in_bucket:
        raise Fault(
            f"the mirror {mirror.name} is a folder, and a folder has no ACLs",
            hint="who may read is up to the web server that serves it",
            where=mirror.store,
        )
    opened = store or mirror.open()
    if not isinstance(opened, Bucket):
        raise Fault(f"{opened.place} is no bucket")
    wanted = sorted(opened.list()) if names is None else list(dict.fromkeys(names))
    task = _Task(mirror, opened, dry_run)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(task.repair, wanted))


class _Task:
    def __init__(self, mirror: Mirror, store: Bucket, dry_run: bool) -> None:
        self._mirror = mirror
        self._store = store
        self._dry_run = dry_run

    def repair(self, name: str) -> Repair:
        """Look at one object, change it if need be, and look again as its users do."""
        bucket = self._store.client.bucket(self._mirror.bucket)
        blob = bucket.blob(self._mirror.prefix + name)
        shown = f"{self._store.place}/{name}"
        with self._worded("look up", shown):
            try:
                blob.reload(timeout=_LIMITS)
            except answers.NotFound:
                return Repair(name, "missing", "there is no such file")
        found = self._entries(blob, shown)
        if isinstance(found, str):
            return self._without_acl(name, uniform=found == "uniform")
        wrong = _wrong(found, public=self._mirror.public)
        if wrong is None:
            return Repair(name, "right", _shown(found))
        if self._dry_run:
            return Repair(name, "wrong", wrong, "run it again without the dry run")
        return self._change(name, blob, found, wrong)

    def _entries(self, blob: Any, shown: str) -> dict[str, str] | str:
        """Read an ACL as roles by entity; `uniform` or `unseen` where there is none to be had."""
        with self._worded("read the ACL of", shown):
            try:
                blob.acl.reload(timeout=_LIMITS)
            except answers.BadRequest as error:
                if "uniform" in str(error).lower():
                    return "uniform"
                raise
            except answers.Forbidden:
                return "unseen"
        return roles_of(blob.acl)

    def _without_acl(self, name: str, *, uniform: bool) -> Repair:
        """Judge an object whose ACL is not to be seen by what a stranger gets."""
        is_public = self._is_open(name)
        reads = "everybody reads the file" if is_public else "strangers do not get the file"
        why = "access to the bucket is uniform" if uniform else "these credentials may not see it"
        sentence = f"there is no ACL to look at, {why}; {reads}"
        if is_public == self._mirror.public:
            return Repair(name, "right", sentence)
        if uniform:
            hint = "change who may view the bucket; crosprov mirror protect shows its roles"
            return Repair(name, "uniform", sentence, hint)
        hint = "use the credentials of who uploaded it, or of the bucket's administrator"
        return Repair(name, "unseen", sentence, hint)

    def _change(self, name: str, blob: Any, found: dict[str, str], wrong: str) -> Repair:
        try:
            with self._worded("change the ACL of", f"{self._store.place}/{name}"):
                _set(blob, found, public=self._mirror.public)
        except Fault as fault:
            return Repair(name, "wrong", f"{wrong}; {fault.sentence}", fault.hint)
        is_public = self._is_open(name)
        if is_public and not self._mirror.public:
            return Repair(
                name, "wrong", f"{wrong}; it was changed, and strangers still get it", _LEAK
            )
        if "everybody" in wrong:
            return Repair(name, "repaired", f"{wrong}; that is over", _LEAK)
        if is_public != self._mirror.public:
            now = f"{wrong}; it was changed, and strangers still do not get it"
            return Repair(name, "wrong", now, "does the bucket forbid that objects are public?")
        return Repair(name, "repaired", f"{wrong}; now {_shown(roles_of(blob.acl))}")

    def _worded(self, verb: str, what: str) -> AbstractContextManager[None]:
        return worded(verb, what, anonymous=self._store.is_anonymous)

    def _is_open(self, name: str) -> bool:
        url = self._mirror.url(name)
        return url is not None and is_open(url)


def _wrong(found: dict[str, str], *, public: bool) -> str | None:
    """Say what is wrong with an ACL; None when nothing is."""
    if public:
        return None if "allUsers" in found else f"it was not public: {_shown(found)}"
    if EVERYBODY & found.keys():
        return f"everybody could read it: {_shown(found)}"
    if not any(entity.startswith("project-") for entity in found):
        return f"the project could not read it: {_shown(found)}"
    return None


def _set(blob: Any, found: dict[str, str], *, public: bool) -> None:
    """Change an ACL, only if nobody else did meanwhile; what else it grants is kept."""
    wanted = {one: role for one, role in found.items() if public or one not in EVERYBODY}
    if public:
        wanted["allUsers"] = "READER"
    elif not any(entity.startswith("project-") for entity in wanted):
        blob.acl.save_predefined(
            "projectPrivate", if_metageneration_match=blob.metageneration, timeout=_LIMITS
        )
        wanted = roles_of(blob.acl) | wanted
        blob.reload(timeout=_LIMITS)
    if wanted != roles_of(blob.acl):
        entries = [{"entity": entity, "role": role} for entity, role in wanted.items()]
        blob.acl.save(entries, if_metageneration_match=blob.metageneration, timeout=_LIMITS)


def roles_of(acl: Any) -> dict[str, str]:
    """Give the roles of an ACL that was read, by entity."""
    return {entry["entity"]: entry["role"] for entry in acl}


def _shown(found: dict[str, str]) -> str:
    return ", ".join(f"{entity} {role}" for entity, role in sorted(found.items())) or "nobody"
