"""What changes an Umpire's configuration: deploying one, importing bundles, new payloads."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from crosprov.twin.factory.umpire import payloads
from crosprov.twin.factory.umpire.services import Services
from crosprov.twin.factory.umpire.store import Config, Store, UmpireError, bundle_of, dump, found_in


class Deployment:
    """The configuration of a store and the services that follow it."""

    def __init__(self, store: Store, services: Services) -> None:
        self._store = store
        self._services = services
        self._lock = threading.Lock()

    @property
    def is_under_way(self) -> bool:
        return self._lock.locked()

    def start(self) -> None:
        """Run the services of the active configuration."""
        with self._lock:
            config = self._store.active()
            self._store.check(config)
            self._services.follow(config)

    def deploy(self, resource: str) -> str:
        """Make a configuration the active one, or stay with the one before. Raises UmpireError."""
        config: Config = json.loads(self._store.path_of(resource).read_bytes())
        self._store.check(config)
        if not self._lock.acquire(blocking=False):
            raise UmpireError("Another deployment in progress")
        try:
            before = self._store.active()
            try:
                self._services.follow(config)
            except UmpireError as error:
                self._services.follow(before)
                sentence = f"Deploy failed, the configuration before is back: {error}"
                raise UmpireError(sentence) from None
            self._store.activate(resource)
        finally:
            self._lock.release()
        return "Deploy success"

    def import_bundle(self, path: Path, name: str | None = None, note: str | None = None) -> None:
        """Take a bundle from a folder or an archive, and make it the active one."""
        config = self._store.active()
        name = name or time.strftime("factory_bundle_%Y%m%d_%H%M%S")
        if bundle_of(config, name):
            raise UmpireError(f"bundle_id {name!r} already in use")
        if not path.exists():
            raise FileNotFoundError(f"Missing bundle: {path}")
        if path.is_dir():
            self._take_bundle(path, name, note or "", config)
            return
        with tempfile.TemporaryDirectory(dir=self._store.temporary) as folder:
            try:
                shutil.unpack_archive(path, folder, _format(path))
            except (ValueError, shutil.ReadError, EOFError) as error:
                raise UmpireError(f"{path.name} is no archive: {error}") from None
            self._take_bundle(Path(folder), name, note or "", config)

    def update(
        self, changes: Sequence[Sequence[str]], source: str | None = None, to: str | None = None
    ) -> str:
        """Put payloads into a bundle, or into a copy of it named `to`. Return messages as JSON."""
        for kind, path in changes:
            if kind not in payloads.TYPES:
                raise UmpireError(f"Unsupported payload type: {kind}")
            if not Path(path).is_file():
                raise UmpireError(f"File not found: {path}")
        config = self._store.active()
        bundle = bundle_of(config, source or config["active_bundle_id"])
        if bundle is None:
            raise UmpireError(f"Source bundle ID does not exist: {source}")
        if to:
            if bundle_of(config, to):
                raise UmpireError(f"Destination bundle ID already exists: {to}")
            bundle = copy.deepcopy(bundle) | {"id": to}
            config["bundles"].append(bundle)
        held = self._store.payloads(bundle["payloads"])
        for kind, path in changes:
            held |= self._store.add_payload(path, kind)
        bundle["payloads"] = self._store.add_config(json.dumps(held), "payload_config")
        self._deploy(config)
        return "[]"

    def _take_bundle(self, folder: Path, name: str, note: str, config: Config) -> None:
        held: payloads.Payloads = {}
        twice: Config = {}
        found = found_in(folder)
        kinds = [kind for kind, _ in found]
        for kind, path in found:
            added = self._store.add_payload(str(path), kind)
            held |= added
            if kinds.count(kind) > 1:
                first = [{"type": "duplicate", "file_list": []}]
                twice.setdefault(kind, first)[0]["file_list"].append(added[kind])
        bundle = {
            "id": name,
            "note": note,
            "payloads": self._store.add_config(json.dumps(held), "payload_config"),
            "require_user_action": twice,
        }
        config["bundles"].insert(0, bundle)
        config["active_bundle_id"] = name
        self._deploy(config)

    def _deploy(self, config: Config) -> None:
        self.deploy(self._store.add_config(dump(config), "umpire_config"))


def _format(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"PK"):
        return "zip"
    if start.startswith(b"\x1f\x8b"):
        return "gztar"
    if start.startswith(b"BZh"):
        return "bztar"
    return "xztar" if start.startswith(b"\xfd7zXZ") else "tar"
