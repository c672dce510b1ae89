#!/usr/bin/env python3
"""Serve staged ChromiumOS builds to devices: a small dev server in one file.

It needs Python 3.9 and nothing else. It speaks the part of the dev server's protocol that reads:
check_health, static, list_image_dir, is_staged, latestbuild, and update, which answers that
there is no update. Builds are put below the static folder by hand; `stage` is refused.

What the ChromiumOS dev server answers as text is text here too, or JSON for a client that
accepts application/json. Errors are always JSON: {"error": "one sentence"}.
"""

from __future__ import annotations

import argparse
import html
import json
import logging
import mimetypes
import os
import re
import shutil
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate, mktime_tz, parsedate_tz
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from socketserver import TCPServer
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

LONGEST_BODY = 1024 * 1024  # bytes of an update request; real ones have a few thousand
LONGEST_PATH = 2048  # characters, so that no system call refuses it for its length
IDLE_LIMIT = 60.0  # seconds that a connection may be silent
GIGABYTE = 1000**3

# Where an artifact lies once it is staged; patterns are alternatives. From the tables of
# build_artifact.py in platform/dev (2018) and chromite (2022).
ARTIFACTS: dict[str, tuple[str, ...]] = {
    "autotest": ("autotest",),
    "autotest_packages": ("autotest/packages",),
    "autotest_server_package": ("autotest_server_package.tar.bz2",),
    "base_image": ("chromiumos_base_image.bin",),
    "control_files": ("autotest",),
    "delta_payload": ("chromeos_*_delta_dev*.bin",),
    "delta_payloads": ("au/*/update.gz",),
    "dev_image": ("chromiumos_image.bin",),
    "factory_image": ("factory_test/chromiumos_factory_image.bin",),
    "factory_shim_image": ("factory_shim/factory_install_shim.bin",),
    "firmware": ("firmware_from_source.tar.bz2",),
    "full_payload": ("update.gz", "chromeos_*_full_dev*.bin", "chromeos_*_dev.bin"),
    "quick_provision": ("full_dev_part_*.bin.gz",),
    "recovery_image": ("recovery_image.bin",),
    "signed_image": ("signed_image.bin",),
    "stateful": ("stateful.tgz",),
    "symbols": ("debug/breakpad",),
    "symbols_only": ("debug/breakpad",),
    "test_image": ("chromiumos_test_image.bin",),
    "test_suites": ("autotest/test_suites",),
}

# What the health report of the ChromiumOS dev server counts, and this one does not have.
NEVER_STARTED = (
    "staging_thread_count",
    "apache_client_count",
    "telemetry_test_count",
    "gsutil_count",
    "au_process_count",
)

Query = dict[str, str]

log = logging.getLogger("devserver")


class Refused(Exception):
    """Answer a request with an error status and one sentence."""

    def __init__(self, status: HTTPStatus, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def bad(message: str) -> Refused:
    """Make the refusal of a request that asks for nothing sensible."""
    return Refused(HTTPStatus.BAD_REQUEST, message)


class Answer(NamedTuple):
    """Hold what goes back to the client."""

    body: bytes
    content_type: str


# --- paths: nothing outside of the static folder is ever opened ---------------------------


def steps_of(path: str) -> list[str]:
    """Split a decoded path; raises Refused where it could lead out of its folder."""
    if "\0" in path:
        raise Refused(HTTPStatus.BAD_REQUEST, "the path holds a NUL")
    steps = [step for step in path.split("/") if step not in ("", ".")]
    if len(path) > LONGEST_PATH or any(len(os.fsencode(step)) > 255 for step in steps):
        raise Refused(HTTPStatus.NOT_FOUND, "the path is longer than any of a file")
    if ".." in steps:
        raise Refused(HTTPStatus.NOT_FOUND, "the path leads out of the static folder")
    return steps


def inside(root: Path, steps: list[str]) -> Path:
    """Give the real path of what lies below the root; links that lead out are refused."""
    found = Path(os.path.realpath(root.joinpath(*steps)))
    if found != root and root not in found.parents:
        raise Refused(HTTPStatus.NOT_FOUND, "the path leads out of the static folder")
    return found


def open_file(root: Path, steps: list[str]) -> tuple[BinaryIO, os.stat_result]:
    """Open a regular file below the root; raises Refused when there is none."""
    missing = Refused(HTTPStatus.NOT_FOUND, f"there is no file /static/{'/'.join(steps)}")
    try:
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        number = os.open(inside(root, steps), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, ValueError):
        raise missing from None
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        raise missing
    return os.fdopen(number, "rb", buffering=0), status


# --- HTTP: conditional requests and ranges (RFC 9110, sections 13 and 14) ------------------


def etag_of(status: os.stat_result) -> str:
    """Name a version of a file by its time and size."""
    return f'"{status.st_mtime_ns:x}-{status.st_size:x}"'


def matches(header: str, etag: str) -> bool:
    """Tell whether an If-None-Match header names a version; weak tags count."""
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or etag in [tag[2:] if tag.startswith("W/") else tag for tag in tags]


def unchanged_since(header: str, modified: float) -> bool:
    """Tell whether a time in HTTP's notation is not before the file's."""
    parsed = parsedate_tz(header)
    return parsed is not None and int(modified) <= mktime_tz(parsed)


def range_of(header: str, size: int) -> tuple[int, int] | None:
    """Give first byte and count of a Range header, None when the whole file is the answer.

    Several ranges are answered with the whole, as RFC 9110 allows. Raises Refused when the
    range begins behind the end.
    """
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.replace(" ", ""))
    if not found or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last), size - 1) if last else size - 1
        if last and int(last) < start:
            return None
    if start >= size or start > end:
        raise Refused(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the file has {size} bytes, and the range begins behind them",
            Content_Range=f"bytes */{size}",
        )
    return start, end - start + 1


# --- builds --------------------------------------------------------------------------------


class Builds:
    """Look at the builds below the static folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, query: Query) -> Path:
        """Give the folder of a build: archive_url without its bucket, or local_path."""
        url, local = query.get("archive_url", ""), query.get("local_path", "")
        if bool(url) == bool(local):
            raise bad("give exactly one of archive_url and local_path")
        if local:
            above = f"{self.root}/"
            if not local.startswith(above):
                raise bad("local_path is not below the static folder")
            return inside(self.root, steps_of(local[len(above) :]))
        if not url.startswith("gs://"):
            raise bad("archive_url isn't from Google Storage: it does not begin with gs://")
        steps = steps_of(url[len("gs://") :])[1:]
        if not steps:
            raise bad("archive_url names a bucket and no build")
        return inside(self.root, steps)

    def is_staged(self, query: Query) -> bool:
        """Tell whether all artifacts and files of a query are there."""
        artifacts, names = _list(query, "artifacts"), _list(query, "files")
        if not artifacts and not names:
            raise bad("name artifacts or files")
        for name in artifacts:
            if name not in ARTIFACTS:
                raise bad(f"there is no artifact {name}; known are {', '.join(ARTIFACTS)}")
        for name in names:
            if "/" in name or name in (".", ".."):
                raise bad(f"{name} is not the name of a file of a build")
        folder = self.folder(query)
        return all(self._any(folder, ARTIFACTS[name]) for name in artifacts) and all(
            (folder / name).is_file() and self._serves(folder / name) for name in names
        )

    def _any(self, folder: Path, patterns: tuple[str, ...]) -> bool:
        return any(self._serves(path) for pattern in patterns for path in folder.glob(pattern))

    def _serves(self, path: Path) -> bool:
        return self.root in Path(os.path.realpath(path)).parents

    def listing(self, query: Query) -> list[dict[str, Any]] | None:
        """List the files of a build, None when it is not there."""
        folder = self.folder(query)
        if not folder.is_dir():
            return None
        paths = [Path(above, name) for above, _, names in os.walk(folder) for name in names]
        described = (_described(path, folder) for path in sorted(paths))
        return [file for file in described if file is not None]

    def latest(self, query: Query) -> str:
        """Name the newest version of a target, such as eve-release."""
        target, milestone = query.get("target", ""), query.get("milestone", "")
        if not target:
            raise bad("name a target, such as eve-release")
        folder = inside(self.root, steps_of(target))
        if not folder.is_dir():
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no target {target}")
        names = [path.name for path in folder.iterdir() if path.is_dir()]
        names = [name for name in names if re.match(r"R?[0-9]", name)]
        if milestone:
            names = [name for name in names if name.startswith(f"{milestone}-")]
        if not names:
            which = f" of milestone {milestone}" if milestone else ""
            raise Refused(HTTPStatus.NOT_FOUND, f"target {target} has no build{which}")
        return max(names, key=version_key)


def version_key(name: str) -> list[tuple[int, int, str]]:
    """Order versions as people do: numbers by value, and before any word."""
    parts = re.findall(r"[0-9]+|[A-Za-z]+", name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


def _described(path: Path, folder: Path) -> dict[str, Any] | None:
    """Describe a regular file of a build, None for what is none or has just gone."""
    try:
        status = path.lstat()
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return {
        "name": str(path.relative_to(folder)),
        "size": status.st_size,
        "accessed": _time(status.st_atime),
        "modified": _time(status.st_mtime),
    }


def _list(query: Query, key: str) -> list[str]:
    return [word for word in query.get(key, "").split(",") if word]


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# --- Omaha ---------------------------------------------------------------------------------


def no_update(body: bytes) -> bytes:
    """Answer an Omaha request of protocol 2 or 3: all is well, and there is no update."""
    if b"<!" in body.replace(b"<!--", b""):
        raise bad("the update request declares a document type")  # no entities, no bombs
    try:
        request = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        raise bad(f"the update request is not XML: {error}") from None
    protocol = request.get("protocol", "")
    kind = _name(request)
    if (kind, protocol) == ("request", "3.0"):
        response = ElementTree.Element("response", {"protocol": protocol, "server": "crosprov"})
    elif (kind, protocol) == ("gupdate", "2.0"):
        space = "http://www.google.com/update2/response"
        response = ElementTree.Element("gupdate", {"xmlns": space, "protocol": protocol})
    else:
        raise bad("the update request is neither of Omaha protocol 2.0 nor of 3.0")
    now = time.localtime()
    seconds = now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec
    ElementTree.SubElement(response, "daystart", {"elapsed_seconds": str(seconds)})
    for app in request:
        if _name(app) == "app":
            _answer_app(response, app)
    text: bytes = ElementTree.tostring(response, encoding="UTF-8", xml_declaration=True)
    return text


def _answer_app(response: ElementTree.Element, app: ElementTree.Element) -> None:
    answer = ElementTree.SubElement(
        response, "app", {"appid": app.get("appid", ""), "status": "ok"}
    )
    for asked in app:
        name = _name(asked)
        if name in ("ping", "event"):
            ElementTree.SubElement(answer, name, {"status": "ok"})
        elif name == "updatecheck":
            ElementTree.SubElement(answer, name, {"status": "noupdate"})


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


# --- the server ----------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    """Answer the requests of one connection."""

    server: DevServer
    protocol_version = "HTTP/1.1"
    timeout = IDLE_LIMIT

    def do_GET(self) -> None:
        self._answer(self._get)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._answer(self._post)

    def _answer(self, respond: Callable[[], None]) -> None:
        """Respond; every failure is one sentence to the client, and the rest to the log."""
        self.answered = False
        try:
            respond()
        except Refused as refused:
            self._refuse(refused)
        except (ConnectionError, socket.timeout):  # noqa: UP041 - they differ in Python 3.9
            self.close_connection = True  # the client went away
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            message = "the dev server failed; its log says why"
            self._refuse(Refused(HTTPStatus.INTERNAL_SERVER_ERROR, message))

    def _refuse(self, refused: Refused) -> None:
        if self.answered:
            self.close_connection = True  # in the midst of an answer; cutting it is all we can
            return
        if self.command not in ("GET", "HEAD"):
            self.close_connection = True  # its body may be unread
        self._send(_json({"error": refused.message}), refused.status, refused.headers)

    def _get(self) -> None:
        if int(self.headers.get("Content-Length") or 0):
            self.close_connection = True
        path, query = self._split()
        steps = steps_of(path)
        if steps[:1] == ["static"] and len(steps) > 1:
            self._static(steps[1:])
        elif len(steps) <= 1 or steps[0] == "update":
            self._send(self._call(steps[0] if steps else "index", query))
        else:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing at /{'/'.join(steps)}")

    def _call(self, name: str, query: Query) -> Answer:
        if name == "stage":
            raise Refused(
                HTTPStatus.NOT_IMPLEMENTED,
                "this dev server does not stage builds; put them below its static folder",
            )
        if name == "update":
            raise Refused(
                HTTPStatus.METHOD_NOT_ALLOWED, "an update request is a POST", Allow="POST"
            )
        if name not in CALLS:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is no call {name}; / lists them")
        return CALLS[name](self.server.builds, query, "application/json" in self._accept())

    def _accept(self) -> str:
        return str(self.headers.get("Accept", ""))

    def _post(self) -> None:
        path, query = self._split()
        steps = steps_of(path)
        body = self._body()
        if steps[:1] == ["update"]:
            self._send(Answer(no_update(body), "text/xml; charset=utf-8"))
        elif len(steps) == 1:
            self._send(self._call(steps[0], query))
        else:
            raise Refused(HTTPStatus.NOT_FOUND, f"there is nothing at /{'/'.join(steps)}")

    def _split(self) -> tuple[str, Query]:
        raw, _, rest = self.path.partition("?")
        query = {key: values[-1] for key, values in parse_qs(rest).items()}
        if any("\0" in value for value in query.values()):
            raise bad("the query holds a NUL")
        return unquote(raw.partition("#")[0], errors="surrogateescape"), query

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,18}", length):
            raise Refused(HTTPStatus.LENGTH_REQUIRED, "the request has no Content-Length")
        if int(length) > LONGEST_BODY:
            raise Refused(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {LONGEST_BODY} bytes"
            )
        return self.rfile.read(int(length))

    def _static(self, steps: list[str]) -> None:
        file, status = open_file(self.server.builds.root, steps)
        with file:
            etag = etag_of(status)
            headers = {
                "ETag": etag,
                "Last-Modified": formatdate(status.st_mtime, usegmt=True),
                "Accept-Ranges": "bytes",
            }
            if self._fresh(etag, status):
                self._head(HTTPStatus.NOT_MODIFIED, headers)
                return
            start, count = 0, status.st_size
            part = self._range(etag, status)
            if part is not None:
                start, count = part
                headers["Content-Range"] = f"bytes {start}-{start + count - 1}/{status.st_size}"
            headers["Content-Type"] = _content_type(steps[-1])
            headers["Content-Length"] = str(count)
            self._head(HTTPStatus.OK if part is None else HTTPStatus.PARTIAL_CONTENT, headers)
            if self.command != "HEAD" and count:
                sent = self.connection.sendfile(file, start, count)
                self.close_connection = self.close_connection or sent != count  # it shrank

    def _fresh(self, etag: str, status: os.stat_result) -> bool:
        tags = self.headers.get("If-None-Match")
        if tags is not None:
            return matches(tags, etag)
        since = self.headers.get("If-Modified-Since")
        return since is not None and unchanged_since(since, status.st_mtime)

    def _range(self, etag: str, status: os.stat_result) -> tuple[int, int] | None:
        wanted = self.headers.get("Range")
        condition = self.headers.get("If-Range")
        if wanted is None or (
            condition is not None
            and condition != etag
            and condition != formatdate(status.st_mtime, usegmt=True)
        ):
            return None
        return range_of(wanted, status.st_size)

    def _send(
        self,
        answer: Answer,
        status: HTTPStatus = HTTPStatus.OK,
        headers: dict[str, str] | None = None,
    ) -> None:
        described = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Cache-Control": "no-store",
        }
        self._head(status, {**described, **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _head(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        self.answered = True
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("X-Content-Type-Options", "nosniff")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the base class refuses (a malformed request) in our own words."""
        self.close_connection = True
        status = HTTPStatus(code)
        words = f"{message or status.phrase} (this dev server answers GET, HEAD and POST)"
        self._send(_json({"error": words}), status)

    def version_string(self) -> str:
        """Name the program, not its version or Python's."""
        return "crosprov-devserver"

    def log_message(self, format: str, *args: Any) -> None:
        log.info("%s %s", self.address_string(), (format % args).encode("unicode_escape").decode())


class DevServer(ThreadingHTTPServer):
    """Listen, and give each connection a thread."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, root: Path) -> None:
        self.builds = Builds(root)
        self.address_family, address = _family(address)
        super().__init__((address, port), Handler)

    def server_bind(self) -> None:
        """Listen on IPv4 too when the address is the one of all."""
        if self.address_family == socket.AF_INET6:
            only_v6 = self.server_address[0] != "::"
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        # HTTPServer looks its own name up in DNS here, which may take long; nobody needs it.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what goes wrong outside of an answer; clients that go away are no news."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, socket.timeout)):  # noqa: UP041
            log.exception("the connection of %s failed", client_address[0])


def _family(address: str) -> tuple[socket.AddressFamily, str]:
    if address:
        return (socket.AF_INET6 if ":" in address else socket.AF_INET), address
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return socket.AF_INET, "0.0.0.0"
    return socket.AF_INET6, "::"


# --- the calls -----------------------------------------------------------------------------


def index(builds: Builds, query: Query, as_json: bool) -> Answer:
    """List the calls of this server."""
    names = sorted({*CALLS, "update"} - {"index"})
    if as_json:
        return _json({"calls": names})
    links = "".join(f"<li><a href=/{name}>{html.escape(name)}</a></li>" for name in names)
    page = f"<!DOCTYPE html><title>Dev Server</title><p>Welcome to the Dev Server!<ul>{links}</ul>"
    return Answer(page.encode(), "text/html; charset=utf-8")


def check_health(builds: Builds, query: Query, as_json: bool) -> Answer:
    """Report free space in GB, and that no helpers are at work."""
    try:
        free = shutil.disk_usage(builds.root).free / GIGABYTE
    except OSError as error:
        raise Refused(
            HTTPStatus.SERVICE_UNAVAILABLE, f"the static folder cannot be read: {error.strerror}"
        ) from None
    return _json({"free_disk": round(free, 3), **dict.fromkeys(NEVER_STARTED, 0)})


def list_image_dir(builds: Builds, query: Query, as_json: bool) -> Answer:
    """List the files of a build."""
    files = builds.listing(query)
    what = query.get("archive_url") or query.get("local_path", "")
    if as_json:
        return _json({"build": what, "staged": files is not None, "files": files or []})
    if files is None:
        return _text(f"{what} has not been staged on this devserver.")
    line = "Name: {name} Accessed: {accessed} Modified: {modified} Size: {size} bytes."
    head = f"Listing contents of :{builds.folder(query)}"
    return _text("\n".join([head, *(line.format(**file) for file in files)]))


def is_staged(builds: Builds, query: Query, as_json: bool) -> Answer:
    """Tell whether artifacts and files of a build are there."""
    staged = builds.is_staged(query)
    return _json({"staged": staged}) if as_json else _text(str(staged))


def latestbuild(builds: Builds, query: Query, as_json: bool) -> Answer:
    """Name the newest build of a target."""
    latest = builds.latest(query)
    return _json({"latest": latest}) if as_json else _text(latest)


CALLS: dict[str, Callable[[Builds, Query, bool], Answer]] = {
    call.__name__: call for call in (index, check_health, list_image_dir, is_staged, latestbuild)
}


def _json(value: object) -> Answer:
    return Answer(json.dumps(value).encode() + b"\n", "application/json")


def _text(value: str) -> Answer:
    return Answer(value.encode("utf-8", "replace"), "text/plain; charset=utf-8")


def _content_type(name: str) -> str:
    guessed, encoding = mimetypes.guess_type(name)
    return guessed if guessed and not encoding else "application/octet-stream"


# --- the program ---------------------------------------------------------------------------


def options(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; unknown options end the program with status 2."""
    parser = argparse.ArgumentParser(description="Serve staged ChromiumOS builds.")
    add = parser.add_argument
    add("--port", type=int, default=8080, help="port, 0 for any free one (default 8080)")
    add("--host", default="", help="address to listen on (default: all, IPv4 and IPv6)")
    add("--static_dir", default="static", help="folder of the builds; made when it is missing")
    add("--pidfile", help="file that holds the process id while the server runs")
    add("--portfile", help="file that holds the port while the server runs")
    add("--logfile", help="log file, rotated every 12 hours (default: standard output)")
    chosen = parser.parse_args(argv)
    if not 0 <= chosen.port <= 65535:
        parser.error("--port must be between 0 and 65535")
    return chosen


def main(argv: list[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then leave with status 0."""
    chosen = options(argv)
    root = Path(os.path.realpath(chosen.static_dir))
    try:
        root.mkdir(parents=True, exist_ok=True)
        _log_to(chosen.logfile)
        server = DevServer(chosen.host, chosen.port, root)
    except OSError as error:
        where = error.filename or f"port {chosen.port}"
        raise SystemExit(f"devserver: {where}: {error.strerror}") from None
    for number in (signal.SIGTERM, signal.SIGINT):
        # shutdown() waits for the loop to end, so it must not be called in the loop's thread.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    with server, _noted(chosen.pidfile, os.getpid()), _noted(chosen.portfile, server.server_port):
        log.info("serving %s on %s port %d", root, *server.server_address[:2])
        server.serve_forever(poll_interval=0.2)
    log.info("stopped")


@contextmanager
def _noted(path: str | None, number: int) -> Iterator[None]:
    """Keep a number in a file for a while; a reader never sees half of it."""
    if path is None:
        yield
        return
    part = f"{path}.part"
    try:
        Path(part).write_text(f"{number}\n")
        os.replace(part, path)
    except OSError as error:
        raise SystemExit(f"devserver: {path}: {error.strerror}") from None
    try:
        yield
    finally:
        Path(path).unlink(missing_ok=True)


def _log_to(path: str | None) -> None:
    handler: logging.Handler = logging.StreamHandler(sys.stdout)
    if path:
        handler = TimedRotatingFileHandler(path, when="H", interval=12, backupCount=28)
    log.addHandler(handler)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.setLevel(logging.INFO)


if __name__ == "__main__":
    main()
