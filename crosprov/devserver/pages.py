"""Pages for people: what is on this dev server, and what can be asked of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from html import escape
from pathlib import Path

from crosprov.devserver.artifacts import ARTIFACTS
from crosprov.devserver.failures import Refused
from crosprov.devserver.rpc import HTML, RPCS, Answer, Rpc, Server

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem 1rem .2rem 0;text-align:left}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}code{background:#8882;padding:0 .2em}"
    ":root{color-scheme:light dark}"
)
_POLICY = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}


def index(server: Server, base_url: str) -> Answer:
    """Greet, show the builds that are here, and lead to what is said of each call."""
    links = "".join(
        f"<li><a href=doc/{name}>{name}</a> {escape(_first_line(RPCS[name]))}</li>"
        for name in sorted(RPCS)
    )
    free = server.health.report()["free_disk"]
    capacity = server.stager.capacity
    keeps = f"the {capacity} last used builds" if capacity else "all builds"
    body = (
        "<h1>Welcome to the Dev Server!</h1>"
        f"<p>{free:.0f} GB are free. It keeps {keeps}. A device is pointed at it by "
        f"<code>CHROMEOS_AUSERVER={escape(base_url)}/update</code>, or at one build by adding "
        "the build's name.</p>"
        f"<h2>Builds</h2>{_builds(server)}<h2>Calls</h2><ul>{links}</ul>"
    )
    return _page("Dev Server", body)


def doc(name: str) -> Answer:
    """Describe a call; raises Refused 404 for an unknown one, 400 without a name."""
    if not name:
        raise Refused(400, "name a call, such as doc/stage")
    if name not in RPCS:
        raise Refused(404, "there is no such call; the page at / lists them")
    rpc = RPCS[name]
    paragraphs = "".join(
        f"<p>{escape(' '.join(part.split()))}</p>" for part in rpc.doc.split("\n\n")
    )
    rows = "".join(
        f"<tr><td><code>{word}</code></td><td>{escape(what)}</td></tr>"
        for word, what in rpc.parameters.items()
    )
    path = f"/{escape(rpc.path)}" if rpc.path else ""
    body = f"<h1>/{name}{path}</h1>{paragraphs}<table>{rows}</table>"
    if "artifacts" in rpc.parameters:
        body += f"<h2>Artifacts</h2><p>{escape(', '.join(sorted(ARTIFACTS)))}</p>"
    return _page(name, f"{body}{_examples(rpc)}<p><a href=../>All calls</a></p>")


def _first_line(rpc: Rpc) -> str:
    return " ".join(rpc.doc.split("\n\n")[0].split())


def _builds(server: Server) -> str:
    rows = [
        f"<tr><td>{escape(build.name)}</td><td class=n>{_size(build.bytes)}</td>"
        f"<td>{time.strftime('%Y-%m-%d %H:%M', time.gmtime(build.last_used))} UTC</td>"
        f"<td>{'staged' if build.is_staged else 'placed by hand'}"
        f"{escape(_artifacts(server.layout.folder(build.name)))}</td></tr>"
        for build in server.stager.builds()
    ]
    head = "<tr><th>build</th><th>size</th><th>last used</th><th>state</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>" if rows else "<p>None yet.</p>"


def _artifacts(folder: Path) -> str:
    """Name the artifacts that have a marker."""
    names = [name for name in sorted(ARTIFACTS) if (folder / f".{name}").exists()]
    return f": {', '.join(names)}" if names else ""


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


_BUILD = "gs://chromeos-image-archive/eve-release/R120-15662.0.0"
_QUERIES: dict[str, Iterable[str]] = {
    "stage": (
        f"stage?archive_url={_BUILD}&artifacts=autotest,test_suites",
        f"stage?archive_url={_BUILD}&artifacts=full_payload",
        f"stage?archive_url={_BUILD}&files=blah.bin",
    ),
    "is_staged": (f"is_staged?archive_url={_BUILD}&artifacts=full_payload",),
    "xbuddy": ("xbuddy/remote/eve/latest-beta/test", "xbuddy/local/eve/latest/full_payload"),
    "latestbuild": ("latestbuild?target=eve-release&milestone=R120",),
}


def _examples(rpc: Rpc) -> str:
    """Show calls as they are written; nothing here is a link, lest a click stages something."""
    lines = "".join(f"<br><code>/{escape(query)}</code>" for query in _QUERIES.get(rpc.name, ()))
    return f"<h2>Examples</h2><p>{lines.removeprefix('<br>')}</p>" if lines else ""


def _page(title: str, body: str) -> Answer:
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    page = f"<!DOCTYPE html><html lang=en>{head}{body}</html>\n"
    return Answer(page.encode("utf-8", "replace"), HTML, headers=_POLICY)
