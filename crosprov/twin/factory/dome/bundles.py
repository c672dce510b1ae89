"""Bundles, payloads and services of a project, all of which its Umpire keeps."""

from __future__ import annotations

import copy
import io
import json
import tempfile
import xmlrpc.client
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from crosprov.twin.factory.dome.answers import Refusal, refused
from crosprov.twin.factory.dome.projects import Project
from crosprov.twin.factory.dome.umpires import Umpire
from crosprov.twin.factory.dome.uploads import Uploads
from crosprov.twin.factory.umpire.payloads import TYPES

Row = dict[str, Any]


class Bundles:
    """What one project's Umpire holds."""

    def __init__(
        self, project: Project, uploads: Uploads, is_abandoned: Callable[[], bool]
    ) -> None:
        if project.umpire_port is None:
            raise TypeError(f"project {project.name} has no port of an Umpire")
        self._umpire = Umpire(project.umpire_port, is_abandoned)
        self._uploads = uploads

    def all(self) -> list[Row]:
        config = self._config()
        return [self._described(bundle, config) for bundle in config["bundles"]]

    def one(self, name: str) -> Row:
        config = self._config()
        return self._described(_found(config, name), config)

    def upload(self, name: str, note: str, file: int) -> Row:
        """Have an uploaded archive imported as a new bundle, which becomes the active one."""
        with self._uploads.taken(file) as path:
            try:
                self._umpire.call("ImportBundle", str(path), name, note)
            except xmlrpc.client.Fault as fault:
                if "already in use" in fault.faultString:
                    raise refused(409, f'Bundle "{name}" already exists') from None
                raise refused(500, fault.faultString) from None
        return self.one(name)

    def reorder(self, names: object) -> list[Row]:
        config = self._config()
        held = {bundle["id"]: bundle for bundle in config["bundles"]}
        if not isinstance(names, list) or set(names) != set(held):
            raise refused(400, "All bundles must be listed when reordering")
        config["bundles"] = [held[name] for name in names]
        self._deploy(config)
        return self.all()

    def delete(self, name: str) -> None:
        config = self._config()
        if not any(bundle["id"] == name for bundle in config["bundles"]):
            raise refused(404, f"Bundle {name} not found")
        if config["active_bundle_id"] == name:
            raise refused(422, "Can not delete active bundle")
        config["bundles"] = [bundle for bundle in config["bundles"] if bundle["id"] != name]
        self._deploy(config)

    def modify(self, name: str, changes: Mapping[str, Any]) -> Row:
        """Change a bundle in place, or a copy of it when `new_name` is among the changes."""
        config = self._config()
        bundle = _found(config, name)
        if new_name := changes.get("new_name"):
            if any(each["id"] == new_name for each in config["bundles"]):
                raise refused(409, f'Bundle "{new_name}" already exists')
            bundle = copy.deepcopy(bundle) | {"id": new_name}
            config["bundles"].insert(0, bundle)
        if changes.get("note") is not None:
            bundle["note"] = changes["note"]
        if changes.get("active"):
            config["active_bundle_id"] = bundle["id"]
        if any(changes.get(key) is not None for key in ("new_name", "note", "active")):
            self._deploy(config)
        for kind, resource in (changes.get("resources") or {}).items():
            self._replace(bundle["id"], kind, int(resource["file_id"]))
        return self.one(bundle["id"])

    def payload(self, name: str, kind: str) -> BinaryIO:
        """Return the content of one payload, as it was before it was compressed."""
        with tempfile.TemporaryDirectory(dir=self._uploads.folder) as folder:
            Path(folder).chmod(0o777)
            path = Path(folder) / kind
            try:
                self._umpire.call("ExportPayload", name, kind, str(path))
            except xmlrpc.client.Fault as fault:
                raise refused(500, fault.faultString) from None
            return path.open("rb") if path.exists() else io.BytesIO()

    def add_payload(self, kind: str, file: int) -> Row:
        with self._uploads.taken(file) as path:
            added = self._umpire.call("AddPayload", str(path), kind)
        return _resource(kind, added)

    def collect_garbage(self) -> Row:
        done = self._umpire.call("ResourceGarbageCollection")
        return {"files": done["files"], "size": int(done["size"])}

    def services(self) -> Row:
        services: Row = self._config()["services"]
        return services

    def update_services(self, changes: Mapping[str, Any]) -> None:
        """Replace whole services, each by its name; Dome answers nothing."""
        config = self._config()
        config["services"].update(changes)
        self._deploy(config)

    def sync_status(self) -> object:
        return self._umpire.call("GetUmpireSyncStatus")

    def _replace(self, bundle: str, kind: str, file: int) -> None:
        with self._uploads.taken(file) as path:
            try:
                self._umpire.call("Update", [[kind, str(path)]], bundle)
            except xmlrpc.client.Fault as fault:
                raise refused(500, fault.faultString) from None

    def _config(self) -> Row:
        config: Row = json.loads(self._umpire.call("GetActiveConfig"))
        return config

    def _deploy(self, config: Row) -> None:
        text = json.dumps(config, indent=2, sort_keys=True) + "\n"
        resource = self._umpire.call("AddConfigFromBlob", text, "umpire_config")
        try:
            self._umpire.call("Deploy", resource)
        except xmlrpc.client.Fault as fault:
            raise refused(500, fault.faultString) from None

    def _described(self, bundle: Row, config: Row) -> Row:
        held = self._umpire.call("GetPayloadsDict", bundle["payloads"])
        return {
            "name": bundle["id"],
            "note": bundle["note"],
            "active": bundle["id"] == config["active_bundle_id"],
            "resources": {kind: _resource(kind, held) for kind in TYPES},
            "require_user_action": bundle.get("require_user_action") or {},
        }


def _resource(kind: str, held: Mapping[str, Mapping[str, str]]) -> Row:
    payload = held.get(kind, {"version": "N/A"})
    return {
        "type": kind,
        "version": payload["version"],
        "information": payload.get("information", ""),
        "warning_message": "[]" if kind == "netboot_firmware" and kind in held else "",
    }


def _found(config: Row, name: str) -> Row:
    for bundle in config["bundles"]:
        if bundle["id"] == name:
            found: Row = bundle
            return found
    raise Refusal(400, {"detail": f"Bundle {name!r} does not exist"})
