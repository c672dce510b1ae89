"""What Dome answers about a project's bundles, payloads, services and logs."""

from __future__ import annotations

import shutil
from urllib.parse import parse_qs

from crosprov.twin.factory import places
from crosprov.twin.factory.dome import fields
from crosprov.twin.factory.dome.answers import Refusal, refused, rendered
from crosprov.twin.factory.dome.context import Call
from crosprov.twin.factory.exchange import Answer
from crosprov.twin.factory.umpire.schema import SERVICES

_BUNDLE = {
    "name": fields.text,
    "note": fields.blank_text,
    "bundle_file_id": fields.integer,
}
_CHANGES = {
    "note": fields.blank_text,
    "active": lambda name, value: None if value is None else fields.boolean(name, value),
    "resources": fields.mapping,
    "new_name": fields.text,
}


def list_bundles(call: Call) -> Answer:
    return rendered(call.bundles.all())


def upload_bundle(call: Call) -> Answer:
    data = fields.checked(call.data(), _BUNDLE, ("name",))
    made = call.bundles.upload(data["name"], data["note"], data["bundle_file_id"])
    return rendered(made, 201)


def reorder_bundles(call: Call) -> Answer:
    return rendered(call.bundles.reorder(call.data()))


def change_bundle(call: Call) -> Answer:
    call.bundles.one(call.words["bundle"])
    data = fields.checked(call.data(), _CHANGES)
    return rendered(call.bundles.modify(call.words["bundle"], data))


def delete_bundle(call: Call) -> Answer:
    call.bundles.delete(call.words["bundle"])
    return Answer(204, kind="")


def payload(call: Call) -> Answer:
    stream = call.bundles.payload(call.words["bundle"], call.words["payload"])
    return Answer(200, kind="application/octet-stream", stream=stream)


def add_payload(call: Call) -> Answer:
    checks = {"type": fields.text, "file_id": fields.integer}
    data = fields.checked(call.data(), checks, ("type", "file_id"))
    if call.dome.projects.find(call.words["project"]) is None:
        raise Refusal(400, [f"Project {call.words['project']} does not exist"])
    return rendered(call.bundles.add_payload(data["type"], data["file_id"]), 201)


def collect_garbage(call: Call) -> Answer:
    return rendered(call.bundles.collect_garbage())


def services(call: Call) -> Answer:
    return rendered(call.bundles.services())


def change_services(call: Call) -> Answer:
    """Replace whole services; the original answers with an empty body."""
    data = fields.mapping("services", call.data())
    call.bundles.update_services(data)
    return Answer(200, kind="application/json")


def services_schema(call: Call) -> Answer:
    return rendered(SERVICES["properties"])


def sync_status(call: Call) -> Answer:
    return rendered(call.bundles.sync_status())


def delete_folder(call: Call) -> Answer:
    """Remove one of the folders in which Dome keeps uploads and log archives."""
    folder = fields.checked(call.data(), {"temp_dir": fields.text}, ("temp_dir",))["temp_dir"]
    if not folder.startswith("/tmp/shared/") or ".." in folder.split("/"):
        raise AssertionError("the folder is not in /tmp/shared")
    target = places.UPLOADS / folder.removeprefix("/tmp/shared/")
    if not target.is_dir():
        return rendered(f"No directory: {folder}")
    shutil.rmtree(target)
    return rendered(f"Deleted directory: {folder}")


def download_log(call: Call) -> Answer:
    query = {name: values[-1] for name, values in parse_qs(call.request.query).items()}
    checks = {"log_file": fields.text, "temp_dir": fields.text}
    given = fields.checked(query, checks, tuple(checks))
    path = places.UPLOADS / given["temp_dir"].removeprefix("/tmp/shared/") / given["log_file"]
    try:
        return Answer(200, kind="application/octet-stream", stream=path.open("rb"))
    except OSError as error:
        raise refused(500, str(error)) from None
