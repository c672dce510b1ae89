"""The stand-in for cros_docker.sh, with the version that a test wants."""

from __future__ import annotations

import re
from pathlib import Path

from crosprov.errors import TwinError

_TEMPLATE = Path(__file__).with_name("cros_docker.sh")
_VERSION_LINE = re.compile(rb'^DOCKER_IMAGE_(GITHASH|TIMESTAMP)="[^"]*"$', re.MULTILINE)
_SITE_LINE = re.compile(rb'^(: "\$\{STANDIN_SITE:=)"[^"]*"', re.MULTILINE)
_SHAPES = {
    "timestamp": (r"[0-9]{14}", "14 digits"),
    "githash": (r"[0-9a-f]{40}", "40 hex digits"),
    "site": (r"[a-z]+://[\w./:\[\]-]+", "an address that needs no quotes"),
}


def script(timestamp: str, githash: str, *, site: str | None = None) -> bytes:
    """Give the stand-in script whose image has this timestamp and this hash of its sources.

    `timestamp` has 14 digits, `githash` 40 hex digits; `site` is the address of the folder from
    which `pull` takes tarballs when STANDIN_SITE is not set. Raises TwinError for other ones.
    """
    given = {"timestamp": timestamp, "githash": githash}
    for name, value in (given | ({} if site is None else {"site": site})).items():
        shape, words = _SHAPES[name]
        if not re.fullmatch(shape, value):
            raise TwinError(f"the {name} {value!r} of a stand-in script is not {words}")
    text = _VERSION_LINE.sub(
        lambda found: (
            b'DOCKER_IMAGE_%s="%s"' % (found[1], given[found[1].decode().lower()].encode())
        ),
        _TEMPLATE.read_bytes(),
    )
    if site is None:
        return text
    return _SITE_LINE.sub(lambda found: b'%s"%s"' % (found[1], site.encode()), text)
