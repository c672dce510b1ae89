#!/usr/bin/env python3
"""Stand in for a checkout's devserver.py, of an old or a new generation, by `GENERATION` below.

True to the original: the options and the form of `--help`, exit status 2 for an unknown option;
pid, port and log files, with the first two gone after SIGTERM; `cache` below static_dir; answers
as text/html, errors as a page of status 500 with the traceback in `<pre id="traceback">`; `stage`
and `is_staged` of local_path with `files`, also after a failure, which is_staged raises again.
The old generation fails in `stage` where there is no program sudo, and knows no `.bin` payloads.

Not imitated: artifacts other than stateful and full_payload, patterns, gs://, Android, xBuddy,
updates, chromite's cache, threads, log rotation, CherryPy's own headers.
"""

import html
import json
import optparse
import os
import shutil
import signal
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

GENERATION = "new"

COMMON = (
    ("--static_dir", "PATH"),
    ("--port", ""),
    ("--test_image", None),
    ("--clear_cache", None),
    ("--logfile", "PATH"),
    ("--pidfile", "PATH"),
    ("--portfile", "PATH"),
    ("--production", None),
    ("--exit", None),
)
OLD_ONLY = (
    ("--board", ""),
    ("--image", "FILE"),
    ("--payload", "PATH"),
    ("--pregenerate_update", None),
    ("--src_image", "PATH"),
)
NEW_ONLY = (("--infra_removal", None),)
NAMES = {"stateful": "stateful.tgz", "full_payload": "update.gz"}


class DevServerError(Exception):
    """What an RPC raises."""


def parsed() -> optparse.Values:
    """Read the command line, as both generations do."""
    parser = optparse.OptionParser(usage="usage: %prog [options]\n\nA stand-in.")
    for name, value in COMMON + (OLD_ONLY if GENERATION == "old" else NEW_ONLY):
        action = "store_true" if value is None else "store"
        words = "Deprecated." if name == "--test_image" else "see the original"
        parser.add_option(name, action=action, metavar=value or None, help=words)
    options, _ = parser.parse_args()
    return options


def source_of(query: dict[str, str], static_dir: str) -> tuple[str, str, list[str]]:
    """Give the source of a build, its folder, and the files that are asked for."""
    path = query.get("local_path", "").rstrip("/")
    if not path:
        raise DevServerError("Must specify an archive_url in the request")
    if not path.startswith(static_dir):
        raise DevServerError(f"{path} is not in static_dir")
    names = [name for name in query.get("files", "").split(",") if name]
    for artifact in filter(None, query.get("artifacts", "").split(",")):
        names.append(NAMES[artifact])
    if not names:
        raise DevServerError("No artifacts specified.")
    parent, build = os.path.split(path)
    return path, os.path.join(static_dir, os.path.basename(parent), build), names


def stage(query: dict[str, str], static_dir: str) -> str:
    """Copy what is asked for; a failure leaves a file that `is_staged` finds."""
    source, target, names = source_of(query, static_dir)
    if GENERATION == "old" and shutil.which("sudo") is None:
        raise FileNotFoundError("[Errno 2] No such file or directory")
    os.makedirs(target, exist_ok=True)
    for name in names:
        failure = f"{target}.{name}.exception"
        try:
            shutil.copy(os.path.join(source, name), target)
        except OSError:
            with open(failure, "w") as file:
                file.write(f"Could not find {name} in {source}")
            raise DevServerError(f"Could not find {name} in {source}") from None
        if os.path.exists(failure):
            os.unlink(failure)
        marker = "." + name.replace("*", "STAR").replace(".", "DOT").replace("/", "SLASH")
        with open(os.path.join(target, marker), "w") as file:
            file.write(os.path.join(target, name))
    return "Success"


def is_staged(query: dict[str, str], static_dir: str) -> str:
    """Tell whether all is there; raise what an earlier attempt failed with."""
    _, target, names = source_of(query, static_dir)
    for name in names:
        if os.path.exists(f"{target}.{name}.exception"):
            with open(f"{target}.{name}.exception") as file:
                raise DevServerError(file.read())
    return str(all(os.path.exists(os.path.join(target, name)) for name in names))


class Handler(BaseHTTPRequestHandler):
    """Answer as CherryPy does for the original: everything is text/html."""

    static_dir = ""

    def do_GET(self) -> None:
        """Answer an RPC or a file below static/."""
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        name = url.path.strip("/")
        try:
            if name == "check_health":
                health = {"free_disk": 99.5, "staging_thread_count": 0}
                self.answer(200, json.dumps(health))
            elif name in ("stage", "is_staged"):
                function = stage if name == "stage" else is_staged
                self.answer(200, function(query, self.static_dir))
            elif name.startswith("static/") and ".." not in name:
                with open(os.path.join(self.static_dir, name[len("static/") :]), "rb") as file:
                    self.answer(200, file.read().decode("latin-1"))
            else:
                self.answer(404, page("404 Not Found", f"NotFound: (404, '{name}')"))
        except Exception:
            self.answer(500, page("500 Internal Server Error", traceback.format_exc()))

    def answer(self, status: int, text: str) -> None:
        """Send a body with the content type that every answer has."""
        body = text.encode("latin-1", "replace")
        self.send_response(status)
        self.send_header("Content-Type", "text/html;charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def page(title: str, trace: str) -> str:
    """Make the page of an error."""
    return (
        f"<html><head><title>{title}</title></head><body><h2>{title}</h2>\n"
        f'<pre id="traceback">{html.escape(trace)}</pre>\n<div id="powered_by"></div></body></html>'
    )


def main() -> None:
    """Start, write the files that tell of it, serve until SIGTERM, and remove them."""
    options = parsed()
    Handler.static_dir = os.path.realpath(options.static_dir)
    os.makedirs(os.path.join(Handler.static_dir, "cache"), exist_ok=True)
    if options.exit:
        return
    server = ThreadingHTTPServer(("", 8080 if options.port is None else int(options.port)), Handler)
    told = {
        options.pidfile: f"{os.getpid()}",
        options.portfile: f"{server.server_port}",
        options.logfile: "ENGINE Bus STARTED",
    }
    for path, text in told.items():
        if path:
            with open(path, "w") as file:
                file.write(f"{text}\n")

    def stop(*_: object) -> None:
        for path in filter(None, (options.pidfile, options.portfile)):
            os.unlink(path)
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever()


if __name__ == "__main__":
    main()
