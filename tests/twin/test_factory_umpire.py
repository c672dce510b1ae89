"""Umpire's stand-in, run as a process of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
import xmlrpc.client
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crosprov.twin.factory.umpire import payloads
from crosprov.twin.factory.umpire.schema import CONFIG, faults_of
from crosprov.twin.factory.umpire.store import Store, UmpireError, dump
from tests.support.waiting import until
from tests.twin.factory_server import can_connect, free_ports

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Umpire:
    port: int
    folder: Path
    calls: Any

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads(self.calls.GetActiveConfig())
        return config

    def deploy(self, config: dict[str, Any]) -> str:
        name = self.calls.AddConfigFromBlob(dump(config), "umpire_config")
        return str(self.calls.Deploy(name))


@pytest.fixture(scope="module")
def umpire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Umpire]:
    root = tmp_path_factory.mktemp("umpire")
    port = free_ports()
    environment = {
        **os.environ,
        "STANDIN_ROOT": str(root),
        "STANDIN_UMPIRE_BASE": str(port),
        "UMPIRE_PROJECT_NAME": "eve",
    }
    command = (sys.executable, "-m", "crosprov.twin.factory.umpire.umpired")
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: can_connect(port) and can_connect(port + 2))
        calls = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{port + 2}", allow_none=True)
        yield Umpire(port, root / "var/db/factory/umpire", calls)
    finally:
        process.terminate()
        assert process.wait(10) == 0


def bundle(folder: Path, **files: str) -> Path:
    for kind, text in files.items():
        (folder / kind).mkdir(parents=True)
        (folder / kind / "file").write_text(text)
    return folder


def test_a_new_folder_has_what_the_original_makes(umpire: Umpire) -> None:
    link = os.readlink(umpire.folder / "active_umpire.json")
    text = (umpire.folder / link).read_bytes()
    assert link == f"resources/umpire.{hashlib.md5(text).hexdigest()}.json"
    assert json.loads(text)["active_bundle_id"] in ("empty", "b1")
    assert json.loads((umpire.folder / "session.json").read_text()) == {"version": 16}
    assert {path.name for path in umpire.folder.iterdir() if path.is_dir()} == {
        *("conf", "factory_drives", "log", "properties", "resources", "run", "temp"),
        "umpire_data",
    }


def test_duts_find_it_by_ping_at_the_first_port(umpire: Umpire) -> None:
    for path in ("", "/RPC2", "/umpire"):
        dut: Any = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{umpire.port}{path}")
        assert dut.Ping() == {"version": 3, "project": "eve"}
    assert umpire.calls.GetVersion() == 8
    assert umpire.calls.IsDeploying() is False
    assert {"ImportBundle", "Deploy", "system.listMethods"} <= set(
        umpire.calls.system.listMethods()
    )
    with pytest.raises(xmlrpc.client.Fault, match="not found"):
        umpire.calls.Nothing()


def test_a_bundle_is_imported_once_and_served(umpire: Umpire, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "bundle", hwid="checksum: ab12\n", toolkit="label=tools-1\n")
    umpire.calls.ImportBundle(str(folder), "b1", "a note")
    config = umpire.config()
    assert config["active_bundle_id"] == "b1"
    assert [each["id"] for each in config["bundles"]][0] == "b1"
    held = umpire.calls.GetPayloadsDict(config["bundles"][0]["payloads"])
    assert held == umpire.calls.GetActivePayload()
    assert held["hwid"]["version"] == "ab12" and held["toolkit"]["version"] == "tools-1"
    file = held["hwid"]["file"]
    data = (umpire.folder / "resources" / file).read_bytes()
    assert file == f"hwid.{hashlib.md5(data).hexdigest()}.gz"
    with _OPENER.open(f"http://127.0.0.1:{umpire.port}/res/{file}") as answer:
        assert answer.read() == data
    with pytest.raises(xmlrpc.client.Fault, match="already in use"):
        umpire.calls.ImportBundle(str(folder), "b1", "")
    target = tmp_path / "out/hwid"
    umpire.calls.ExportPayload("b1", "hwid", str(target))
    assert target.read_text() == "checksum: ab12\n"
    for arguments in (("b1", "firmware"), ("none", "hwid")):
        with pytest.raises(xmlrpc.client.Fault):
            umpire.calls.ExportPayload(*arguments, str(target))


@pytest.mark.parametrize(
    ("service", "offset"), [("rsync", 4), ("instalog", 6), ("dkps", 9), ("umpire_http", 0)]
)
def test_services_listen_while_they_are_active(umpire: Umpire, service: str, offset: int) -> None:
    port = umpire.port + offset
    before = umpire.config()
    config = umpire.config()
    config["services"][service] = {"active": False}
    assert umpire.deploy(config) == "Deploy success"
    until(lambda: not can_connect(port))
    config["services"][service] = {}
    umpire.deploy(config)
    until(lambda: can_connect(port))
    umpire.calls.StopServices([service])
    until(lambda: not can_connect(port))
    umpire.calls.StartServices([service])
    until(lambda: can_connect(port))
    umpire.deploy(before)


def test_the_customized_output_has_a_port_when_it_is_enabled(umpire: Umpire) -> None:
    before, config = umpire.config(), umpire.config()
    assert not can_connect(umpire.port + 8)
    config["services"]["instalog"]["customized_output"] = {"enable": True}
    umpire.deploy(config)
    until(lambda: can_connect(umpire.port + 8))
    umpire.deploy(before)
    until(lambda: not can_connect(umpire.port + 8))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"active_bundle_id": "none"}, "Missing active bundle"),
        ({"services": {"nothing": {}}}, "nothing"),
        ({"services": {"umpire_timezone": {"timezone": 13}}}, "out of range"),
        ({"services": {"instalog": {"archive": {"enable": "yes"}}}}, "boolean"),
        ({"more": 1}, "more"),
    ],
)
def test_a_bad_configuration_is_refused_and_the_one_before_stays(
    umpire: Umpire, change: dict[str, Any], word: str
) -> None:
    before = umpire.calls.GetActiveConfig()
    text = dump(umpire.config() | change)
    with pytest.raises(xmlrpc.client.Fault, match=word):
        umpire.calls.ValidateConfig(text)
    name = umpire.calls.AddConfigFromBlob(text, "umpire_config")
    with pytest.raises(xmlrpc.client.Fault, match=word):
        umpire.calls.Deploy(name)
    assert umpire.calls.GetActiveConfig() == before


def test_payloads_that_no_bundle_names_are_garbage(umpire: Umpire, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("firmware")
    added = umpire.calls.AddPayload(str(tmp_path / "file"), "firmware")
    assert added == umpire.calls.AddPayload(str(tmp_path / "file"), "firmware")
    gone = umpire.calls.ResourceGarbageCollection()
    assert gone["files"] == [added["firmware"]["file"]] and int(gone["size"]) > 0
    assert umpire.calls.ResourceGarbageCollection() == {"files": [], "size": "0"}


def test_an_update_goes_into_a_copy_when_one_is_named(umpire: Umpire, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("new")
    umpire.calls.Update([["firmware", str(tmp_path / "file")]], "empty", "copy")
    bundles = {each["id"]: each["payloads"] for each in umpire.config()["bundles"]}
    assert bundles["copy"] != bundles["empty"]
    with pytest.raises(xmlrpc.client.Fault, match="Unsupported payload type"):
        umpire.calls.Update([["nothing", str(tmp_path / "file")]])


def test_starting_again_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    store.prepare()
    after = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    with pytest.raises(UmpireError, match="Unsupported config type"):
        store.add_config("{}", "other")


def test_a_missing_resource_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    (tmp_path / "file").write_text("x")
    added = store.add_payload(str(tmp_path / "file"), "hwid")
    config = store.active()
    config["bundles"][0]["payloads"] = store.add_config(json.dumps(added), "payload_config")
    store.check(config)
    (store.resources / added["hwid"]["file"]).unlink()
    with pytest.raises(UmpireError, match="NOT FOUND"):
        store.check(config)


def test_the_same_file_is_the_same_payload(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 100_000)
    first = payloads.add(tmp_path / "file", "complete", tmp_path, tmp_path)
    os.utime(tmp_path / "file", (1, 1))
    assert payloads.add(tmp_path / "file", "complete", tmp_path, tmp_path) == first


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], ["config: [] is not of type 'object'"]),
        (
            {"services": {}, "bundles": [{}]},
            [
                "config: 'active_bundle_id' is a required property",
                *(
                    f"config.bundles[0]: {name!r} is a required property"
                    for name in ("id", "note", "payloads")
                ),
            ],
        ),
        (
            {
                "services": {"umpire_timezone": {"timezone": True}},
                "bundles": [],
                "active_bundle_id": "",
            },
            ["config.services.umpire_timezone.timezone: True is not of type 'integer'"],
        ),
    ],
)
def test_each_fault_of_a_configuration_has_its_place(value: object, words: list[str]) -> None:
    assert list(faults_of(value, CONFIG)) == words
