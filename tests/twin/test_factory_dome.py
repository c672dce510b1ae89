"""Dome's stand-in, its programs run as processes against a fake engine."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import until
from tests.twin.factory_server import Server, can_connect, free_ports

NEW = {
    "name": "eve",
    "hasExistingUmpire": False,
    "umpireEnabled": False,
    "umpirePort": None,
    "netbootBundle": None,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One Dome for all tests."""
    server = Server(tmp_path_factory.mktemp("factory"))
    try:
        assert server.manage("migrate").returncode == 0
        server.start("uwsgi", "nginx")
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def as_it_was(server: Server) -> Iterator[None]:
    """Take back what a test asked for: its faults and its projects."""
    yield
    server.want()
    with closing(sqlite3.connect(server.database)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM backend_project")]
    for name in names:
        assert server.ask("DELETE", f"/projects/{name}/").status == 204


def enabled(server: Server, name: str) -> int:
    """Make a project with an Umpire and return its port."""
    port = free_ports()
    assert server.ask("POST", "/projects/", {"name": name}).status == 201
    body = {"umpireEnabled": True, "umpirePort": port}
    assert server.ask("PUT", f"/projects/{name}/", body).status == 200
    server.umpire(port)
    return port


def forget_umpire(server: Server, name: str) -> None:
    """Have a project disabled whose container is still there, as after an interrupted change."""
    with closing(sqlite3.connect(server.database, isolation_level=None)) as connection:
        connection.execute("UPDATE backend_project SET umpire_enabled = 0 WHERE name = ?", (name,))


def project(server: Server, name: str) -> Any:
    return next(each for each in server.ask("GET", "/projects/").json if each["name"] == name)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "answer"),
    [
        ("POST", "/projects/", {"name": "a b"}, 400, {"name": ["Invalid project name"]}),
        ("POST", "/projects/", {"name": "umlaut-ö"}, 400, {"name": ["Invalid project name"]}),
        ("POST", "/projects/", {}, 400, {"name": "This field is required"}),
        ("POST", "/projects/", {"name": None}, 400, {"name": ["This field may not be null."]}),
        (
            "POST", "/projects/", [], 400,
            {"nonFieldErrors": ["Invalid data. Expected a dictionary, but got list."]},
        ),
        ("PUT", "/projects/none/", {}, 404, {"detail": "Not found."}),
        ("DELETE", "/projects/none/", None, 404, {"detail": "Not found."}),
        ("GET", "/projects/none/", None, 405, {"detail": 'Method "GET" not allowed.'}),
        ("DELETE", "/projects/", None, 405, {"detail": 'Method "DELETE" not allowed.'}),
        ("GET", "/config/0/", None, 404, {"detail": "Not found."}),
        ("POST", "/files/", {}, 400, {"file": ["No file was submitted."]}),
        (
            "POST", "/auth", {"username": "admin", "password": "wrong"}, 400,
            {"non_field_errors": ["Unable to log in with provided credentials."]},
        ),
        ("GET", "/project_ports/", None, 200, {"allPorts": [], "maxPortOffset": 19}),
    ],
)  # fmt: skip
def test_dome_answers_as_the_original_does(
    server: Server, method: str, path: str, body: object, status: int, answer: object
) -> None:
    reply = server.ask(method, path, body)
    assert (reply.status, reply.json) == (status, answer)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", None, 200),
        ("GET", "/projects", None, 200),  # sent on to the path with a slash
        ("GET", "/projects.json", None, 200),
        ("POST", "/projects", {"name": "x"}, 500),
        ("GET", "/nowhere/", None, 404),
        ("GET", "/projects/a%20b/services/", None, 404),
        ("GET", "/projects/none/bundles/", None, 500),
        ("POST", "/projects/", b"{x", 400),
    ],
)
def test_paths_matter_to_the_slash(
    server: Server, method: str, path: str, body: object, status: int
) -> None:
    assert server.ask(method, path, body).status == status


def test_a_body_of_an_unknown_kind_is_refused(server: Server) -> None:
    reply = server.ask("POST", "/projects/", b"x", headers={"Content-Type": "text/plain"})
    assert reply.status == 415
    reply = server.ask(
        "POST",
        "/projects/",
        b"name=of-a-form",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (reply.status, reply.json) == (201, NEW | {"name": "of-a-form"})


def test_a_project_is_made_once_and_gets_an_umpire_with_the_script_s_options(
    server: Server,
) -> None:
    port = enabled(server, "eve")
    again = server.ask("POST", "/projects/", {"name": "eve"})
    assert (again.status, again.json) == (400, {"name": ["This field must be unique."]})
    assert project(server, "eve") == NEW | {
        "hasExistingUmpire": True,
        "umpireEnabled": True,
        "umpirePort": port,
    }
    made = next(each for each in server.engine.made if each["name"] == "umpire_eve")
    assert made["Image"] == "cros/factory_server"
    assert made["Cmd"] == ["/usr/local/factory/bin/umpired"]
    assert made["Env"] == ["UMPIRE_PROJECT_NAME=eve", f"UMPIRE_PROJECT_PORT={port}"]
    host = made["HostConfig"]
    assert host["Binds"] == [
        "/cros_docker:/mnt",
        f"{server.umpires}/eve:/var/db/factory/umpire",
        "cros-docker-shared-tmp-vol:/tmp/shared",
        "/etc/localtime:/etc/localtime:ro",
    ]
    assert {inside: bound[0]["HostPort"] for inside, bound in host["PortBindings"].items()} == {
        f"{8080 + offset}/tcp": str(port + offset) for offset in (0, 2, 4, 6, 8, 9)
    }
    assert host["Privileged"] is True
    assert host["Tmpfs"] == {"/run": "rw,size=16384k"}
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert (server.umpires / ".default_project").read_text() == "eve"

    gone = server.ask("PUT", "/projects/eve/", {"umpireEnabled": False})
    assert (gone.json["umpireEnabled"], gone.json["umpirePort"]) == (False, port)
    assert "umpire_eve" not in server.engine.containers
    assert (server.umpires / "eve/active_umpire.json").is_symlink()
    assert server.ask("DELETE", "/projects/eve/").status == 204
    assert not (server.umpires / "eve").exists()


def test_an_umpire_that_is_there_is_adopted_and_the_port_asked_for_is_stored(
    server: Server,
) -> None:
    port = enabled(server, "adopted")
    forget_umpire(server, "adopted")
    assert project(server, "adopted")["hasExistingUmpire"] is True
    body = {"umpireEnabled": True, "umpirePort": port + 1000}
    assert server.ask("PUT", "/projects/adopted/", body).json["umpirePort"] == port + 1000
    bound = server.engine.containers["umpire_adopted"]["HostConfig"]["PortBindings"]
    assert bound["8080/tcp"][0]["HostPort"] == str(port)


def test_an_umpire_that_cannot_be_asked_for_its_port_fails_the_whole_list(server: Server) -> None:
    server.ask("POST", "/projects/", {"name": "stopped"})
    port = free_ports()
    server.ask("PUT", "/projects/stopped/", {"umpireEnabled": True, "umpirePort": port})
    server.engine.end("umpire_stopped")
    assert server.ask("GET", "/projects/").status == 200
    forget_umpire(server, "stopped")
    assert server.ask("GET", "/projects/").status == 500
    assert server.ask("DELETE", "/projects/stopped/").status == 204
    assert server.ask("GET", "/projects/").status == 200


@pytest.mark.parametrize("cause", ["a port in use", "a fault", "no port"])
def test_any_failure_of_an_umpire_is_told_as_a_port_in_use(server: Server, cause: str) -> None:
    name = f"failing-{cause.replace(' ', '-')}"
    port = free_ports()
    server.ask("POST", "/projects/", {"name": name})
    if cause == "a port in use":
        server.engine.ports_in_use.add(str(port + 4))
    if cause == "a fault":
        server.want(fail_enable=[name])
    body: dict[str, object] = {"umpireEnabled": True}
    reply = server.ask(
        "PUT", f"/projects/{name}/", body if cause == "no port" else body | {"umpirePort": port}
    )
    assert reply.status == 500
    assert "umpire port already has been used" in reply.json["detail"]
    assert f"umpire_{name}" not in server.engine.containers
    assert project(server, name)["umpireEnabled"] is False

    both = {"name": f"{name}-2", "umpireEnabled": True}
    assert server.ask("POST", "/projects/", both).status == 500
    assert f"{name}-2" not in [each["name"] for each in server.ask("GET", "/projects/").json]


def test_settings_are_missing_until_they_are_put(server: Server) -> None:
    first = server.ask("PUT", "/config/0/", {"versionCheckEnabled": False, "tftpEnabled": True})
    assert first.status == 201
    wanted = {
        "id": 0, "mcastEnabled": False, "tftpEnabled": True, "versionCheckEnabled": False
    }  # fmt: skip
    assert first.json == wanted == server.ask("GET", "/config/0/").json
    host = server.engine.containers["dome_tftp"]["HostConfig"]
    assert (host["NetworkMode"], host["Binds"]) == ("host", ["/cros_docker/tftp:/var/tftp"])
    both = server.ask("PUT", "/config/0/", {"tftpEnabled": False, "mcastEnabled": True})
    assert (both.status, both.json["mcastEnabled"]) == (200, True)
    assert "dome_tftp" not in server.engine.containers
    assert "dome_mcast" in server.engine.containers


def test_bundles_are_uploaded_changed_and_removed(server: Server) -> None:
    port = enabled(server, "bundled")
    bundles = "/projects/bundled/bundles/"
    (first,) = server.ask("GET", bundles).json
    assert (first["name"], first["active"]) == ("empty", True)
    assert first["resources"]["netbootKernel"] == {
        "type": "netboot_kernel", "version": "N/A", "information": "", "warningMessage": ""
    }  # fmt: skip

    body = {"name": "b1", "note": "first", "bundleFileId": server.upload(archive(), "b.tgz")}
    made = server.ask("POST", bundles, body)
    assert (made.status, made.json["active"]) == (201, True)
    assert made.json["resources"]["hwid"]["version"] == "0123abcd"
    assert server.ask("GET", f"{bundles}b1/hwid").body == b"checksum: 0123abcd\n"
    again = {"name": "b1", "note": "", "bundleFileId": server.upload(archive(), "b.tgz")}
    assert server.ask("POST", bundles, again).status == 409
    assert not list((server.root / "tmp/shared").iterdir())

    assert server.ask("DELETE", f"{bundles}b1/").status == 422
    assert server.ask("DELETE", f"{bundles}b2/").status == 404
    file = server.upload(b"checksum: 4567\n", "H")
    changes = {"newName": "b2", "resources": {"hwid": {"type": "hwid", "fileId": file}}}
    copy = server.ask("PUT", f"{bundles}b1/", changes)
    assert (copy.status, copy.json["resources"]["hwid"]["version"]) == (200, "4567")
    assert server.ask("PUT", f"{bundles}b2/", {"active": True}).json["active"] is True
    assert server.ask("DELETE", f"{bundles}b1/").status == 204
    names = [bundle["name"] for bundle in server.ask("GET", bundles).json]
    assert names == ["b2", "empty"]
    assert server.ask("PUT", bundles, ["empty", "b2"]).json[0]["name"] == "empty"
    assert server.ask("PUT", bundles, ["empty"]).status == 400

    gone = server.ask("POST", "/projects/bundled/resources/gc", {}).json
    assert [name.split(".")[0] for name in gone["files"]] == ["hwid"]
    config = json.loads(str(server.umpire(port).GetActiveConfig()))
    assert config["active_bundle_id"] == "b2"


def test_services_are_replaced_by_name_and_refused_when_they_are_not_sound(server: Server) -> None:
    port = enabled(server, "serving")
    services = "/projects/serving/services/"
    assert server.ask("GET", services).json["shopFloor"] == {"serviceUrl": "http://localhost:8090"}
    assert not can_connect(port + 9)
    done = server.ask("PUT", services, {"dkps": {}, "shopFloor": {"serviceUrl": "http://a"}})
    assert (done.status, done.body) == (200, b"")
    until(lambda: can_connect(port + 9))
    before = server.ask("GET", services).json
    assert before["dkps"] == {} and before["shopFloor"] == {"serviceUrl": "http://a"}
    assert server.ask("PUT", services, {"shopFloor": {"serviceUrl": 3}}).status == 500
    assert server.ask("GET", services).json == before
    schema = server.ask("GET", f"{services}schema").json
    assert schema["umpireTimezone"]["properties"]["timezone"]["minimum"] == -12


def test_who_may_ask_is_told_by_address_and_token(server: Server) -> None:
    given = {"username": "admin", "password": "test0000"}
    token = server.ask("POST", "/auth", given).json["token"]
    assert server.ask("POST", "/auth", given).json == {"token": token}
    for value, status in ((f"Token {token}", 200), ("Token wrong", 401), ("Basic eDp5", 200)):
        assert server.ask("GET", "/projects/", headers={"Authorization": value}).status == status
    elsewhere = {"X-Standin-Client": "192.0.2.9"}
    assert server.ask("GET", "/projects/", headers=elsewhere).status == 200


def test_faults_are_asked_for_by_a_file(server: Server) -> None:
    server.want(status={"/projects/": 503}, refuse_projects=["bad"], hang=["/info"])
    assert server.ask("GET", "/projects/").status == 503
    assert server.ask("POST", "/projects/", {"name": "bad"}).status == 503
    with pytest.raises(TimeoutError):
        server.ask("GET", "/info", within=0.3)
    server.want(refuse_projects=["bad"])
    refused = server.ask("POST", "/projects/", {"name": "bad"})
    assert (refused.status, refused.json) == (400, {"name": ["Invalid project name"]})
    assert server.ask("GET", "/info").json["dockerImageTimestamp"] == "20240101000000"


def test_old_umpires_are_made_anew_by_the_one_shot(server: Server) -> None:
    port = enabled(server, "old")
    assert server.umpire(port).GetVersion() == 8
    data = snapshot(server.umpires / "old")
    server.engine.umpire_version = 9
    try:
        done = server.manage("restart_old_umpire")
    finally:
        server.engine.umpire_version = 8
    assert done.returncode == 0, done.stderr
    assert server.umpire(port).GetVersion() == 9
    assert snapshot(server.umpires / "old") == data


def test_migrate_sets_the_password_back_and_the_shell_changes_it(server: Server) -> None:
    def may_enter(password: str) -> bool:
        return (
            server.ask("POST", "/auth", {"username": "admin", "password": password}).status == 200
        )

    program = (
        "import os, django\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'backend.settings')\n"
        "django.setup()\n"
        "from django.contrib.auth.models import User\n"
        "user = User.objects.get(username='admin')\n"
        "user.set_password('another one')\n"
        "user.save()\n"
    )
    assert server.run(program).returncode == 0
    assert may_enter("another one") and not may_enter("test0000")
    assert server.manage("shell", "--command", program.replace("another one", "third")).stderr == ""
    assert may_enter("third")
    no_terminal = server.manage("changepassword", "admin", stdin="x\nx\n")
    assert no_terminal.returncode == 1
    assert server.manage("migrate").returncode == 0
    assert may_enter("test0000")
    server.want(fail_migrate=True)
    assert server.manage("migrate").returncode == 1


def test_nginx_says_502_without_dome_which_removes_its_socket(server: Server) -> None:
    assert server.stop("uwsgi") == 0
    assert not (server.root / "run/dome.sock").exists()
    assert server.ask("GET", "/").status == 502
    server.start("uwsgi")
    assert server.ask("GET", "/").status == 200


def archive() -> bytes:
    """Return a bundle: a compressed archive with one payload."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        data = b"checksum: 0123abcd\n"
        member = tarfile.TarInfo("hwid/HWID_V3")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of each file, links followed."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
