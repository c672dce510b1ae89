"""Umpire's XML-RPC methods: those of its command line, which Dome uses, and those of DUTs."""

from __future__ import annotations

import glob
import json
import os
import time
import xmlrpc.client
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crosprov.twin.factory import places
from crosprov.twin.factory.umpire import payloads
from crosprov.twin.factory.umpire.deployment import Deployment
from crosprov.twin.factory.umpire.services import Services
from crosprov.twin.factory.umpire.store import Store, UmpireError, bundle_of

Methods = Mapping[str, Callable[..., Any]]

_DUT_PROTOCOL = 3


def of_command_line(store: Store, deployment: Deployment, services: Services) -> Methods:
    """Return the methods at the third port, by name."""

    return {
        "GetVersion": lambda: places.UMPIRE_VERSION,
        "IsDeploying": lambda: deployment.is_under_way,
        "GetActiveConfig": store.active_text,
        "GetActivePayload": lambda: _active_payload(store),
        "ValidateConfig": lambda text: store.check(json.loads(text)),
        "AddConfigFromBlob": store.add_config,
        "AddConfig": lambda path, kind: store.add_config(Path(path).read_text(), kind),
        "Deploy": deployment.deploy,
        "AddPayload": store.add_payload,
        "Update": deployment.update,
        "ImportBundle": lambda path, *rest: deployment.import_bundle(Path(path), *rest),
        "ExportPayload": lambda *words: _export(store, *words),
        "GetPayloadsDict": store.payloads,
        "ResourceGarbageCollection": lambda: _collect_garbage(store),
        "StartServices": lambda names: services.start(names, store.active()),
        "StopServices": services.stop,
        "StopUmpired": lambda: os._exit(0),
        "GetUmpireSyncStatus": lambda: {},
        "GetFactoryDriveInfo": lambda: {"dirs": [], "files": []},
    }


def _active_payload(store: Store) -> payloads.Payloads | None:
    config = store.active()
    bundle = bundle_of(config, config["active_bundle_id"])
    return store.payloads(bundle["payloads"]) if bundle else None


def _export(store: Store, bundle: str, kind: str, path: str) -> None:
    found = bundle_of(store.active(), bundle)
    if found is None:
        raise UmpireError(f"bundle {bundle!r} does not exist")
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise UmpireError("<file_path> should not be a directory")
    held = store.payloads(found["payloads"])
    target.unlink(missing_ok=True)
    if kind not in held:
        raise UmpireError(f"Payload not found: {kind}")
    payloads.export(held[kind], store.resources, target)


def _collect_garbage(store: Store) -> dict[str, Any]:
    files, size = store.collect_garbage()
    return {"files": files, "size": str(size)}


def of_duts(store: Store) -> Methods:
    """Return the methods that DUTs call at the first port, by name."""

    def files(pattern: str) -> list[str]:
        folder = store.folder / "factory_drives"
        found = (Path(path) for path in glob.glob(f"{glob.escape(str(folder))}/{pattern}"))
        return [str(path.relative_to(folder)) for path in found if path.is_file()]

    return {
        "Ping": lambda: {
            "version": _DUT_PROTOCOL,
            "project": os.environ.get("UMPIRE_PROJECT_NAME"),
        },
        "GetTime": time.time,
        "ListFactoryDrives": files,
    }


def answered(methods: Methods, body: bytes) -> bytes:
    """Call the method that a request names; whatever it raises is a fault, with its words."""
    try:
        arguments, name = xmlrpc.client.loads(body)
        if name == "system.listMethods":
            result: Any = sorted((*methods, "system.listMethods"))
        elif name is None or name not in methods:
            return _fault(xmlrpc.client.METHOD_NOT_FOUND, f"procedure {name} not found")
        else:
            result = methods[name](*arguments)
    except Exception as error:
        return _fault(xmlrpc.client.APPLICATION_ERROR, f"{type(error).__name__}: {error}")
    return xmlrpc.client.dumps((result,), methodresponse=True, allow_none=True).encode()


def _fault(code: int, words: str) -> bytes:
    return xmlrpc.client.dumps(xmlrpc.client.Fault(code, words), methodresponse=True).encode()
