"""Choose what is to be done about a bundle of resources, from an Umpire's active configuration.

It is used on the controller to plan, and runs in Dome's container when the plan is carried out, so
only the standard library is used, and no other file of crosprov. The configuration comes as the
XML of Umpire's answer, on stdin.

  choose NAME SHA256 RECORD   prints what is to be done, the bundle's name in Dome, what is copied
  payloads NAME               prints the name of the file that lists the payloads of a bundle

Umpire gives no name twice and deletes nothing that is active, so nothing is replaced: other
content under the same name goes beside it, with the beginning of its digest behind the name.
"""

from __future__ import annotations

import json
import sys
import xmlrpc.client
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

NOTHING, ACTIVATE, COPY, UPLOAD = "nothing", "activate", "copy", "upload"
SHOWN = 8  # digits of the digest behind a name


def choose(config: Mapping[str, Any], name: str, sha256: str, record: str) -> tuple[str, ...]:
    """Give what is to be done, the bundle's name in Dome, and for a copy the name of the original.

    `record` is the name under which this content was uploaded and, in a second line, the payloads
    that it had then; an upload that was cut short has none yet.
    """
    bundles = {str(one.get("id")): one for one in config.get("bundles") or []}
    there, _, payloads = record.partition("\n")
    held = bundles.get(there)
    if held is None or payloads not in ("", str(held.get("payloads") or "")):
        return UPLOAD, next(one for one in _names(name, sha256) if one not in bundles)
    if there != name and name not in bundles:
        return COPY, name, there
    return (NOTHING if config.get("active_bundle_id") == there else ACTIVATE), there


def _names(name: str, sha256: str) -> Iterator[str]:
    yield name
    yield f"{name}-{sha256[:SHOWN]}"
    for number in count(2):
        yield f"{name}-{sha256[:SHOWN]}-{number}"


def main(words: list[str]) -> None:
    """Do what the command line says."""
    (text,), _ = xmlrpc.client.loads(sys.stdin.read())
    config = json.loads(str(text))
    verb, *rest = words
    if verb == "choose":
        said = " ".join(choose(config, *rest))
    else:
        found = (one for one in config["bundles"] if one["id"] == rest[0])
        said = "".join(str(one.get("payloads") or "") for one in found)
    sys.stdout.write(f"{said}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
