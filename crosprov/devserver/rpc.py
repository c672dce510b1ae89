"""What clients call: each call with its parameters, in one table."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from crosprov.devserver import builds
from crosprov.devserver import controlfiles as autotest
from crosprov.devserver.artifacts import chosen
from crosprov.devserver.conventions import agrees, exactly, wants, words_of
from crosprov.devserver.failures import Refused
from crosprov.devserver.health import Health
from crosprov.devserver.layout import Layout
from crosprov.devserver.options import Options
from crosprov.devserver.staging import Request, Stager
from crosprov.devserver.updates import Updates
from crosprov.devserver.websources import WebSources
from crosprov.devserver.xbuddy import XBuddy

TEXT, JSON, HTML, XML = "text/plain", "application/json", "text/html", "text/xml"


@dataclass(frozen=True, slots=True)
class Server:
    """All that a call may need."""

    options: Options
    layout: Layout
    stager: Stager
    updates: Updates
    xbuddy: XBuddy
    health: Health
    web: WebSources


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asked: `rest` is the path behind the call's name, `method` GET or POST."""

    parameters: Mapping[str, str]
    rest: str
    base_url: str
    client: str
    method: str = "GET"
    body: bytes = b""

    def get(self, name: str) -> str:
        """Give a parameter without blanks around it, "" when it is missing."""
        return self.parameters.get(name, "").strip()


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to a client."""

    body: bytes
    kind: str = TEXT
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


def text(value: str) -> Answer:
    """Answer with text, as it is."""
    return Answer(value.encode("utf-8", "replace"))


def as_json(value: object) -> Answer:
    """Answer with JSON."""
    return Answer(json.dumps(value).encode() + b"\n", JSON)


Run = Callable[[Server, Call], Answer]


@dataclass(frozen=True, slots=True)
class Rpc:
    """A call: what it does, what its parameters mean, and whether it can take long."""

    name: str
    run: Run
    parameters: Mapping[str, str]
    path: str = ""  # what may follow the name
    is_long: bool = False
    is_safe: bool = True  # HEAD may ask for it

    @property
    def doc(self) -> str:
        """Describe the call for people."""
        return (self.run.__doc__ or "").strip()


RPCS: dict[str, Rpc] = {}
SOURCE = {
    "archive_url": "folder of the build in Google Storage (gs://...) or on a web server (https://)",
    "local_path": "or its absolute path, below the dev server's static folder",
}
WHAT = {
    "artifacts": "names of artifacts, with commas between them",
    "files": "plain names of files of the build, with commas between them",
}
# Calls of ChromiumOS dev servers that a client may try, and what this one says to that.
ABSENT = {
    "build": "packages are built in a ChromiumOS checkout",
    "symbolicate_dump": "dumps are read with minidump_stackwalk; stage symbols and fetch them",
    "setup_telemetry": "telemetry comes with the artifact autotest_packages",
    "cros_au": "devices are updated by update_engine_client --omaha_url",
}
# What --infra_removal leaves; the names are those of the ChromiumOS dev server.
INFRA = frozenset("stage is_staged stage_state list_image_dir update check_health".split())


def rpc(
    parameters: Mapping[str, str] | None = None,
    *,
    path: str = "",
    is_long: bool = False,
    is_safe: bool = True,
) -> Callable[[Run], Run]:
    """Enter a function into the table under its name."""

    def enter(run: Run) -> Run:
        RPCS[run.__name__] = Rpc(run.__name__, run, parameters or {}, path, is_long, is_safe)
        return run

    return enter


def find(name: str, options: Options) -> Rpc:
    """Look a call up; raises Refused 404, 501 for one that only other dev servers have."""
    if name in ABSENT:
        raise Refused(501, f"this dev server has no {name}: {ABSENT[name]}")
    if name not in RPCS:
        raise Refused(404, f"there is no call {_short(name)}; the page at / lists them")
    if options.infra_removal and name not in INFRA:
        raise Refused(403, f"{name} is switched off by --infra_removal")
    return RPCS[name]


def _short(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:60]


# --- staging --------------------------------------------------------------------------------


def source_of(server: Server, call: Call) -> str:
    """Give the source of a build; raises Refused 400 unless it is named exactly once."""
    url, local = call.get("archive_url"), call.get("local_path")
    if call.get("os_type") not in ("", "cros", "chromeos"):
        raise Refused(400, "builds of Android are not staged here")
    if bool(url) == bool(local):
        raise Refused(400, "give exactly one of archive_url and local_path")
    if url and not url.startswith(("gs://", "https://", "http://")):
        raise Refused(400, "archive_url isn't from Google Storage: it does not begin with gs://")
    if local and not local.startswith("/"):
        raise Refused(400, "local_path is not an absolute path")
    return server.layout.source(url or local)


def request_of(server: Server, call: Call) -> Request:
    """Read what is to be staged; raises Refused 400 when nothing is named, or wrongly."""
    source = source_of(server, call)
    artifacts, files = words_of(call.get("artifacts")), words_of(call.get("files"))
    if not artifacts and not files:
        raise Refused(400, "No artifacts specified: name artifacts or files")
    chosen(artifacts)
    for name in files:
        if "/" in name or name in (".", "..") or name.startswith("."):
            raise Refused(400, f"{name} is not the plain name of a file of a build")
    return Request(source, artifacts, files)


def fetched_by(server: Server, call: Call) -> Request:
    """Read what is to be fetched; raises Refused 403 for a web server that was not allowed."""
    request = request_of(server, call)
    if request.source.startswith(("http://", "https://")):
        server.web.check(request.source)
    return request


@rpc(
    {
        **SOURCE,
        **WHAT,
        "async": "True: answer at once and stage in the background; ask is_staged then",
        "clean": "true: remove what is staged of the build first",
        "delete_source": "True: remove the files of local_path once they are staged",
    },
    is_long=True,
    is_safe=False,
)
def stage(server: Server, call: Call) -> Answer:
    """Download artifacts of a build and keep them; answers Success once they are there.

    Artifacts that are usually wanted together are fetched in the background too. What is
    there already is not downloaded again. Everything is served below /static/ then.
    """
    request = fetched_by(server, call)
    clean = agrees(call.get("clean"))
    delete_source = exactly("delete_source", call.get("delete_source"))
    begin = server.stager.start if wants(call.get("async")) else server.stager.stage
    begin(request, clean=clean, delete_source=delete_source)
    return text("Success")


@rpc({**SOURCE, **WHAT})
def is_staged(server: Server, call: Call) -> Answer:
    """Tell whether artifacts and files of a build are there: True or False.

    When an attempt to stage them failed, the answer is an error with its sentence.
    """
    return text(str(server.stager.is_staged(request_of(server, call))))


@rpc({**SOURCE, **WHAT})
def stage_state(server: Server, call: Call) -> Answer:
    """Tell how far staging is: bytes done and in all, the file under way, what is missing."""
    state = server.stager.state(request_of(server, call))
    return as_json(
        {
            "done": state.done,
            "total": state.total,
            "file": state.file,
            "failure": state.failure,
            "staged": state.staged,
            "missing": state.missing,
        }
    )


@rpc(SOURCE)
def list_image_dir(server: Server, call: Call) -> Answer:
    """List the files of a build, with their times and sizes."""
    source = source_of(server, call)
    build = server.layout.build(source)
    files = builds.listing(server.layout, build)
    return text(builds.listing_as_text(source, server.layout.folder(build), files))


@rpc({**SOURCE, **WHAT, "file_name": "name of the file"}, is_long=True, is_safe=False)
def locate_file(server: Server, call: Call) -> Answer:
    """Stage artifacts of a build, and give the path of one of their files below /static/."""
    name = call.get("file_name")
    if not name or "/" in name:
        raise Refused(400, "file_name is missing, or is not the plain name of a file")
    request = fetched_by(server, call)
    server.stager.stage(request)
    build = server.layout.build(request.source)
    for file in builds.listing(server.layout, build) or []:
        if Path(file.name).name == name:
            return text(f"{build}/{file.name}")
    raise Refused(404, f"{build} has no file {_short(name)}")


# --- questions about builds -----------------------------------------------------------------


@rpc(
    {
        "target": "board and suffix, such as eve-release",
        "milestone": "only builds of this one, such as R120",
    }
)
def latestbuild(server: Server, call: Call) -> Answer:
    """Name the newest build of a target that is on this dev server."""
    target = call.get("target")
    if not target:
        raise Refused(400, "name a target, such as eve-release")
    return text(builds.latest(server.layout, target, call.get("milestone")))


@rpc(
    {
        "build": "build, such as eve-release/R120-15662.0.0",
        "suite_name": "only the control files of this suite",
        "control_path": "answer with the text of this control file, a path below autotest/",
    }
)
def controlfiles(server: Server, call: Call) -> Answer:
    """List the control files of a build, or print one of them."""
    build, path = call.get("build"), call.get("control_path")
    if not build:
        raise Refused(400, "name a build, such as eve-release/R120-15662.0.0")
    if path:
        found = autotest.body(server.layout, build, path)
        return text(f"Unknown control path {path}" if found is None else found)
    return text("\n".join(autotest.names(server.layout, build, call.get("suite_name"))))


@rpc({"build": "build, such as eve-release/R120-15662.0.0", "suite_name": "name of the suite"})
def list_suite_controls(server: Server, call: Call) -> Answer:
    """Give all control files of a suite, as JSON: path -> text."""
    build, suite = call.get("build"), call.get("suite_name")
    if not build or not suite:
        raise Refused(400, "name a build and a suite_name")
    return as_json(autotest.bodies(server.layout, build, suite))


@rpc()
def check_health(server: Server, call: Call) -> Answer:
    """Report room on the disk (GB), what is being staged, and the load of the machine."""
    return as_json(server.health.report())


# --- xBuddy ---------------------------------------------------------------------------------

IMAGE_DIR = {"image_dir": "look for remote builds in this gs:// folder"}


@rpc(
    {
        "return_dir": "true: answer with the URL of the build's folder",
        "relative_path": "true: answer with the build's name",
        "for_update": "true: answer with the URL for update requests",
        **IMAGE_DIR,
    },
    path="[local|remote]/<board>/<version>/<type>",
    is_long=True,
    is_safe=False,
)
def xbuddy(server: Server, call: Call) -> Answer:
    """Stage the image that a path of xBuddy means, and lead to its file below /static/."""
    forms = [n for n in ("return_dir", "relative_path", "for_update") if agrees(call.get(n))]
    if len(forms) > 1:
        raise Refused(400, f"ask for one of {' and '.join(forms)}, not for both")
    found = server.xbuddy.find(call.rest, call.get("image_dir"))
    if found.source is not None:
        server.stager.stage(Request(found.source, (found.artifact,)))
    if forms == ["relative_path"]:
        return text(found.build)
    if forms:
        place = "static" if forms == ["return_dir"] else "update"
        return text(f"{call.base_url}/{place}/{quote(found.build)}")
    location = f"{call.base_url}/static/{quote(server.xbuddy.file(found))}"
    return Answer(f"{location}\n".encode(), status=302, headers={"location": location})


@rpc(IMAGE_DIR, path="[local|remote]/<board>/<version>/<type>", is_long=True)
def xbuddy_translate(server: Server, call: Call) -> Answer:
    """Name the build and the file that a path of xBuddy means; stages nothing."""
    return text(server.xbuddy.file(server.xbuddy.find(call.rest, call.get("image_dir"))))


@rpc()
def xbuddy_list(server: Server, call: Call) -> Answer:
    """List the builds on this dev server, each with the time since its last use."""
    now = time.time()
    lines = [f"{build.name} {_age(now - build.last_used)}" for build in server.stager.builds()]
    return text("\n".join(lines))


@rpc()
def xbuddy_capacity(server: Server, call: Call) -> Answer:
    """Tell how many staged builds are kept; 0 stands for all."""
    return text(str(server.stager.capacity))


def _age(seconds: float) -> str:
    minutes, second = divmod(max(int(seconds), 0), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{days}d {hour:02}:{minute:02}:{second:02}"


# --- updates --------------------------------------------------------------------------------


@rpc(path="<label>", is_long=True, is_safe=False)
def update(server: Server, call: Call) -> Answer:
    """Answer an update request (a POST of Omaha XML); the label in the path chooses the build."""
    if call.method != "POST":
        raise Refused(405, "an update request is a POST of Omaha XML")
    body = server.updates.answer(
        call.body, label=call.rest or None, base_url=call.base_url, client=call.client
    )
    return Answer(body, XML)
