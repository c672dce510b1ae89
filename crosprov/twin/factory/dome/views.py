"""What Dome answers about itself: its projects, settings, accounts and uploads."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

from crosprov.twin.factory import faults
from crosprov.twin.factory.dome import fields
from crosprov.twin.factory.dome.answers import Refusal, bad_field, page, plain, refused, rendered
from crosprov.twin.factory.dome.context import Call, Dome
from crosprov.twin.factory.dome.projects import MAX_PORT_OFFSET, Project
from crosprov.twin.factory.dome.settings import DEFAULTS
from crosprov.twin.factory.dome.uploads import parse_boundary
from crosprov.twin.factory.exchange import Answer

_PROJECT = {
    "umpire_enabled": fields.boolean,
    "umpire_port": fields.optional_integer,
    "netboot_bundle": fields.optional_text,
}


def front_page(call: Call) -> Answer:
    return replace(page(200, "Dome"), kind="text/html; charset=utf-8")


def information(call: Call) -> Answer:
    """Tell the image's version; the newest one is what the site cannot be asked for here."""
    return rendered(
        {
            "docker_image_githash": os.environ.get("DOCKER_IMAGE_GITHASH", ""),
            "docker_image_islocal": os.environ.get("DOCKER_IMAGE_ISLOCAL", "1") != "0",
            "docker_image_timestamp": os.environ.get("DOCKER_IMAGE_TIMESTAMP", ""),
            "docker_image_latest_version": "Getting docker image latest version failed.",
            "is_dev_server": "DOME_DEV_SERVER" in os.environ,
        }
    )


def token(call: Call) -> Answer:
    checks = {"username": fields.text, "password": fields.text}
    given = fields.checked(call.data(), checks, ("username", "password"))
    if not call.dome.accounts.is_right(given["username"], given["password"]):
        sentence = "Unable to log in with provided credentials."
        return plain({"non_field_errors": [sentence]}, 400)
    return plain({"token": call.dome.accounts.token_of(given["username"])})


def list_projects(call: Call) -> Answer:
    return rendered([_shown(call.dome, project) for project in call.dome.projects.all()])


def make_project(call: Call) -> Answer:
    def new_name(name: str, value: Any) -> str:
        found = fields.project_name(name, value)
        if found in faults.wanted().refuse_projects:
            raise bad_field(name, "Invalid project name")
        if call.dome.projects.find(found):
            raise bad_field(name, "This field must be unique.")
        return found

    data = fields.checked(call.data(), {"name": new_name, **_PROJECT})
    if "name" not in data:
        raise Refusal(400, {"name": "This field is required"})
    name = data.pop("name")
    made = call.dome.projects.create(name, data)
    if made is None:
        raise AssertionError("`create()` did not return an object instance.")
    return rendered(_shown(call.dome, made), 201)


def change_project(call: Call) -> Answer:
    project = call.project

    def other_name(name: str, value: Any) -> str:
        found = fields.project_name(name, value)
        if found != project.name and call.dome.projects.find(found):
            raise bad_field(name, "This field must be unique.")
        return found

    data = fields.checked(call.data(), {"name": other_name, **_PROJECT})
    return rendered(_shown(call.dome, call.dome.projects.update(project, data)))


def delete_project(call: Call) -> Answer:
    call.dome.projects.delete(call.project)
    return Answer(204, kind="")


def list_ports(call: Call) -> Answer:
    ports = [
        {"name": project.name, "umpire_port": project.umpire_port}
        for project in call.dome.projects.enabled()
    ]
    return rendered({"all_ports": ports, "max_port_offset": MAX_PORT_OFFSET})


def read_settings(call: Call) -> Answer:
    found = call.dome.settings.read(int(call.words["id"]))
    if found is None:
        raise refused(404, "Not found.")
    return rendered(found)


def change_settings(call: Call) -> Answer:
    """Change the settings; the first time they are made, as key 0 whatever the path says."""
    settings = call.dome.settings
    key = int(call.words["id"])
    checks = {"id": fields.integer, **dict.fromkeys(DEFAULTS, fields.boolean)}
    data = fields.checked(call.data(), checks)
    if settings.read(key) is not None:
        return rendered(settings.update(key, data))
    if settings.exists():
        raise Refusal(400, ["There should be only one Config"])
    return rendered(settings.update(data.pop("id", 0), data), 201)


def receive_file(call: Call) -> Answer:
    boundary = parse_boundary(call.request.headers.get("Content-Type") or "")
    if boundary is None:
        fields.data_of(call.request)
        raise bad_field("file", "No file was submitted.")
    stored = call.dome.uploads.receive(call.request.body, boundary)
    host = call.request.headers.get("Host") or "localhost"
    address = f"http://{host}/{stored['file']}"
    return rendered(stored | {"file": address}, 201)


def _shown(dome: Dome, project: Project) -> dict[str, object]:
    return {
        "name": project.name,
        "has_existing_umpire": dome.projects.has_existing_umpire(project),
        "umpire_enabled": project.umpire_enabled,
        "umpire_port": project.umpire_port,
        "netboot_bundle": project.netboot_bundle,
    }
