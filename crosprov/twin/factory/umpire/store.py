"""Umpire's folder: resources by the hash of their content, and the active configuration."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosprov.twin.factory.umpire import payloads
from crosprov.twin.factory.umpire.schema import CONFIG, faults_of

Config = dict[str, Any]

DATA_VERSION = 16  # of the original's migrations of this folder

_FOLDERS = (
    *("conf", "factory_drives", "log", "properties", "resources", "run", "temp"),
    "umpire_data",
)
_CONFIG_TYPES = {
    "umpire_config": "umpire",
    "payload_config": "payload",
    "multicast_config": "multicast",
}
_FIRST_SERVICES = {
    "instalog": {
        "archive": {"args": {"interval": 21600}, "enable": True},
        "forward": {"args": {}, "enable": False},
    },
    "rsync": {},
    "shop_floor": {"service_url": "http://localhost:8090"},
    "umpire_http": {},
}


class UmpireError(Exception):
    """Something that Umpire was asked for and cannot do."""


class Store:
    """The folder of one project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.resources = folder / "resources"
        self.temporary = folder / "temp"
        self._active = folder / "active_umpire.json"

    def prepare(self) -> None:
        """Make what a new project's folder has; what is there stays as it is."""
        for name in _FOLDERS:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        report = {"next_report_index": 1, "server_uuid": str(uuid.uuid4())}
        first = {
            "session.json": _text({"version": DATA_VERSION}),
            "factory_drives/factory_drives.json": json.dumps({"files": [], "dirs": []}),
            "properties/report_index.json": _text(report),
        }
        for name, text in first.items():
            if not (self.folder / name).exists():
                self._write(self.folder / name, text.encode())
        if not self._active.is_symlink():
            nothing = self.add_config("{}", "payload_config")
            bundle = {"id": "empty", "note": "n/a", "payloads": nothing}
            config = {"active_bundle_id": "empty", "bundles": [bundle], "services": _FIRST_SERVICES}
            self.activate(self.add_config(dump(config), "umpire_config"))

    def active_text(self) -> str:
        return self._active.read_text()

    def active(self) -> Config:
        config: Config = json.loads(self.active_text())
        return config

    def activate(self, resource: str) -> None:
        """Point the link of the active configuration at a resource, in one step."""
        self.path_of(resource)
        link = self.folder / ".active_umpire.json"
        link.unlink(missing_ok=True)
        link.symlink_to(f"resources/{resource}")
        os.replace(link, self._active)

    def add_config(self, text: str, kind: str) -> str:
        """Keep a configuration and return its name. Raises UmpireError for an unknown type."""
        if kind not in _CONFIG_TYPES:
            raise UmpireError(f"Unsupported config type: {kind}")
        data = text.encode()
        digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
        name = f"{_CONFIG_TYPES[kind]}.{digest}.json"
        if not (self.resources / name).exists():
            self._write(self.resources / name, data)
        return name

    def add_payload(self, path: str, kind: str) -> payloads.Payloads:
        return payloads.add(Path(path), kind, self.resources, self.temporary)

    def payloads(self, name: str) -> payloads.Payloads:
        held: payloads.Payloads = json.loads(self.path_of(name).read_bytes())
        return held

    def path_of(self, resource: str) -> Path:
        """Return a resource's path. Raises FileNotFoundError when there is no such resource."""
        path = self.resources / resource
        if "/" in resource or not path.exists():
            raise FileNotFoundError(f"Missing resource: {path}")
        return path

    def check(self, config: Config) -> None:
        """Raise UmpireError unless a configuration is sound and has all that it names."""
        if wrong := list(faults_of(config, CONFIG)):
            raise UmpireError("; ".join(wrong))
        bundle = bundle_of(config, config["active_bundle_id"])
        if bundle is None:
            raise UmpireError("Missing active bundle")
        missing = [
            f"[NOT FOUND] resource {kind}:{part}:{resource!r} for bundle {bundle['id']!r}\n"
            for kind, part, resource in payloads.files_of(self.payloads(bundle["payloads"]))
            if not (self.resources / resource).exists()
        ]
        if missing:
            raise UmpireError("".join(missing))

    def collect_garbage(self) -> tuple[list[str], int]:
        """Remove payloads that no bundle names; return their names and how many bytes."""
        used = {
            resource
            for bundle in self.active()["bundles"]
            for _, _, resource in payloads.files_of(self.payloads(bundle["payloads"]))
        }
        gone, size = [], 0
        for path in sorted(self.resources.iterdir()):
            if path.name not in used and path.suffix != ".json":
                gone.append(path.name)
                size += path.stat().st_size
                path.unlink()
        return gone, size

    def _write(self, path: Path, data: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.temporary)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, 0o644)
        os.replace(name, path)


def dump(config: Mapping[str, Any]) -> str:
    """Return a configuration's text: the same for the same content."""
    return _text(config)


def bundle_of(config: Config, name: str) -> Config | None:
    return next((each for each in config["bundles"] if each["id"] == name), None)


def found_in(bundle: Path) -> list[tuple[str, Path]]:
    """Return type and path of each payload in a bundle's folder."""
    return [
        (kind, Path(path))
        for kind, pattern in payloads.TYPES.items()
        for path in sorted(glob.glob(f"{glob.escape(str(bundle))}/{pattern}"))
    ]


def _text(value: object) -> str:
    return json.dumps(value, indent=2, separators=(",", ": "), sort_keys=True) + "\n"
