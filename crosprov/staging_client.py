"""Ask a dev server of this host what is staged, and let it stage builds: it runs on the host.

Only the standard library is used, and no other file of crosprov. The server may be crosprov's own
or one of a ChromiumOS checkout: those answer errors with a page, and some block while they stage.

  ask PORT JSON      a list of wishes; prints a line of JSON for each: what is missing
  stage PORT JSON    one wish; returns when all of it is there

A wish is {"source", "artifacts", "files"} or {"xbuddy", "archive"}.
"""

from __future__ import annotations

import html
import http.client
import json
import os
import re
import sys
import threading
import time
import urllib.parse
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

QUICK = 10.0  # seconds for a question
SLOW = 7200.0  # seconds for the request that stages, where the server blocks
STUCK = 900.0  # seconds without any progress
SILENT = 30.0  # seconds in which a server that restarts is back
TRIES = 3
NOTHING = (0, 0, None)  # of a server that tells how far it is: nothing is under way

# What xBuddy's files are staged as.
FILES = (
    ("chromiumos_test_image.bin", "test_image"),
    ("chromiumos_image.bin", "dev_image"),
    ("chromiumos_base_image.bin", "base_image"),
    ("recovery_image.bin", "recovery_image"),
    ("signed_image.bin", "signed_image"),
    ("factory_install_shim.bin", "factory_shim_image"),
    ("update.gz", "full_payload"),
    ("chromeos_*_delta_dev*", "delta_payload"),
    ("chromeos_*_dev*", "full_payload"),
    ("stateful.tgz", "stateful"),
    ("autotest", "autotest"),
)
PAGE = re.compile(r"<pre[^>]*id=\"traceback\"[^>]*>(.*?)</pre>", re.DOTALL)


class Failed(Exception):
    """Hold what the server said."""


def main(words: list[str]) -> int:
    """Do what the command line says; return the exit status."""
    verb, port, text = words
    server = Server(int(port))
    if verb == "ask":
        for wish in json.loads(text):
            sys.stdout.write(json.dumps(look(server, wish), sort_keys=True) + "\n")
        return 0
    try:
        stage(server, json.loads(text))
    except (Failed, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


class Server:
    """The dev server on a port of this host."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.gone = False
        self.tells = False  # how far it is, which only crosprov's own does

    def get(
        self, path: str, query: dict[str, Any] | None = None, within: float = QUICK
    ) -> tuple[int, str]:
        """Ask once; return the status and the text. Raises OSError when there is no answer."""
        target = path + ("?" + urllib.parse.urlencode(query) if query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=within)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            return answer.status, answer.read().decode("utf-8", "replace")
        except http.client.HTTPException as error:
            raise OSError(f"the dev server gave no proper answer: {error!r}") from None
        finally:
            connection.close()

    def has(self, wish: dict[str, Any]) -> bool:
        """Tell whether all of a wish is there. Raises Failed with an earlier failure."""
        status, text = self.get("/is_staged", query_of(wish))
        if status != 200:
            raise Failed(last_line(text))
        return text.strip() == "True"


def query_of(wish: dict[str, Any]) -> dict[str, str]:
    """Word a wish as the parameters of the dev server."""
    where = "archive_url" if "://" in wish["source"] else "local_path"
    query = {where: wish["source"]}
    for name in ("artifacts", "files"):
        if wish[name]:
            query[name] = ",".join(wish[name])
    return query


def last_line(text: str) -> str:
    """Take the last line of an answer; of a page with a traceback, the last line of that."""
    page = PAGE.search(text)
    if page:
        text = html.unescape(page.group(1))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "the dev server failed and said nothing"


def look(server: Server, wish: dict[str, Any]) -> dict[str, Any]:
    """Give what of a wish is missing, or why that is not known."""
    if server.gone:
        return {"unknown": "the dev server does not answer"}
    try:
        found = translated(server, wish)
        missing = (
            []
            if staged(server, found)
            else [name for one, name in parts(found) if not staged(server, one)]
        )
        return {"build": build_of(found["source"]), "missing": missing, "wish": found}
    except Failed as error:
        return {"unknown": str(error)}
    except OSError:
        server.gone = True
        return {"unknown": "the dev server does not answer"}


def staged(server: Server, wish: dict[str, Any]) -> bool:
    """Tell whether a wish is there; an earlier failure counts as no."""
    try:
        return server.has(wish)
    except Failed:
        return False


def parts(wish: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Take a wish apart into single names."""
    for name in wish["artifacts"]:
        yield {**wish, "artifacts": [name], "files": []}, name
    for name in wish["files"]:
        yield {**wish, "artifacts": [], "files": [name]}, name


def translated(server: Server, wish: dict[str, Any]) -> dict[str, Any]:
    """Turn an xBuddy path into a build and what is wanted of it."""
    if "xbuddy" not in wish:
        return wish
    status, text = server.get("/xbuddy_translate/" + wish["xbuddy"])
    build, _, name = text.strip().strip("/").partition("\n")[0].rpartition("/")
    if status != 200 or not build:
        raise Failed(last_line(text))
    if build.endswith("/factory_shim"):
        build = build[: -len("/factory_shim")]
    for pattern, artifact in FILES:
        if fnmatchcase(name, pattern):
            return {"source": wish["archive"] + "/" + build, "artifacts": [artifact], "files": []}
    return {"source": wish["archive"] + "/" + build, "artifacts": [], "files": [name]}


def build_of(source: str) -> str:
    """Name a build as the dev server does below its static folder."""
    if "://" in source:
        return source.partition("://")[2].partition("/")[2]
    return "/".join(source.rstrip("/").split("/")[-2:])


def stage(server: Server, wish: dict[str, Any]) -> None:
    """Let the server stage, and wait until all is there. Raises Failed, OSError."""
    wish = translated(server, wish)
    for left in reversed(range(TRIES)):
        request = Request(server, wish)
        try:
            wait(server, wish, request)
            return
        except Failed:
            # In a checkout's server, a related artifact that failed in the background may have
            # taken ours along.
            if not left or request.failure or server.tells:
                raise
            time.sleep(1)


class Request(threading.Thread):
    """The request that stages, which some servers answer only when it is done."""

    def __init__(self, server: Server, wish: dict[str, Any]) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.query = {**query_of(wish), "async": "True"}
        self.failure: str | None = None
        self.start()

    def run(self) -> None:
        try:
            status, text = self.server.get("/stage", self.query, SLOW)
            if status != 200:
                self.failure = last_line(text)
        except OSError as error:
            self.failure = f"the dev server ended while it staged ({error})"

    def rest(self, seconds: float) -> None:
        """Let some time pass, less when the answer comes meanwhile."""
        if self.is_alive():
            self.join(seconds)
        else:
            time.sleep(seconds)


def wait(server: Server, wish: dict[str, Any], request: Request) -> None:
    """Return when a wish is there; say how far it is in between."""
    seen: object = None
    since = heard = time.monotonic()
    pause, left, lost = 0.1, TRIES, False
    while True:
        request.rest(pause)
        pause = min(1.0, pause * 1.5)
        asked = not request.is_alive()
        if asked and request.failure:
            raise Failed(request.failure)
        now = time.monotonic()
        try:
            state = progress(server, wish)
            if asked and server.has(wish):
                return
        except OSError as error:
            if now - heard > SILENT:
                raise Failed(f"the dev server does not answer any more ({error})") from None
            lost = asked
            continue
        heard = now
        if lost or (state == NOTHING and seen not in (None, NOTHING)):
            # It was started anew, and knows of no request any more.
            left, lost = left - 1, False
            if not left:
                raise Failed(f"the dev server ended {TRIES} times while it staged")
            request = Request(server, wish)
        if state != seen or not asked:
            seen, since = state, now
        elif now - since > STUCK:
            raise Failed(f"nothing has come for {STUCK:.0f} s")


def progress(server: Server, wish: dict[str, Any]) -> object:
    """Report how far the server is, where it says; return what it said."""
    status, text = server.get("/stage_state", query_of(wish))
    if status != 200 or not text.startswith("{"):
        return None
    server.tells = True
    state = json.loads(text)
    done, total = state.get("done") or 0, state.get("total") or 0
    if total:
        name = (state.get("file") or "").rpartition("/")[2]
        report(f"{100 * done // total} % of {size(total)}" + (f", {name}" if name else ""))
    return done, total, state.get("file")


def size(count: float) -> str:
    """Word a number of bytes."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def report(text: str) -> None:
    """Say how far it is, to whom has asked for that."""
    try:
        os.write(9, (text + "\n").encode())
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
