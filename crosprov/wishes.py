"""What a dev server has to have staged: what its section says, and what its DUTs shall run."""

from __future__ import annotations

import re

from crosprov.devserver.xbuddy import TYPES
from crosprov.errors import PlanError
from crosprov.inventory.lab import Host, Lab
from crosprov.operations.staging import Wish, united
from crosprov.roles import dev_server, dut

_EXPLICIT = re.compile(r"remote/(?P<board>[^/]+)/(?P<version>R\d+-\d[^/]*)/(?P<kind>[^/]+)")
_FOR_AN_UPDATE = ("full_payload",)


def wishes_of(lab: Lab, host: Host) -> tuple[Wish, ...]:
    """Collect what a dev server has to have staged, one wish for each build.

    Raises PlanError when it may not keep that many builds.
    """
    wanted = host.settings(dev_server.Settings)
    staged = [Wish(each.build, each.source, each.artifacts, each.files) for each in wanted.stage]
    wishes = united([*staged, *_by_xbuddy(wanted), *_by_duts(lab, host, wanted)])
    if 0 < wanted.capacity < len(wishes):
        raise PlanError(
            f"capacity lets the dev server keep {wanted.capacity} builds, and {len(wishes)} are "
            "wanted by stage, xbuddy and the DUTs",
            hint=f"write capacity: {len(wishes)} or more, or take some of them out",
        )
    return wishes


def _by_xbuddy(wanted: dev_server.Settings) -> list[Wish]:
    """Name the builds of complete paths; the others only the dev server can translate."""
    wishes = []
    for path in wanted.xbuddy:
        found = _EXPLICIT.fullmatch(path)
        renamed = wanted.xbuddy_config.keys() & {"PATH_REWRITES", "LOCATION_SUFFIXES"}
        if found is None or found["kind"] not in TYPES or renamed:
            wishes.append(Wish("", wanted.archive, xbuddy=path))
            continue
        label = f"{found['board']}-release/{found['version']}"
        source = wanted.archive_url(label)
        wishes.append(Wish(_below(source), source, (TYPES[found["kind"]][0],)))
    return wishes


def _by_duts(lab: Lab, host: Host, wanted: dev_server.Settings) -> list[Wish]:
    wishes = []
    for other in lab.hosts.values():
        if not other.plays("dut"):
            continue
        device = other.settings(dut.Settings)
        label = device.wanted_label()
        if device.dev_server == host.name and label is not None:
            source = wanted.archive_url(label)
            wishes.append(Wish(_below(source), source, _FOR_AN_UPDATE))
    return wishes


def _below(source: str) -> str:
    """Name the build of an address: what follows its bucket or server."""
    return source.partition("://")[2].partition("/")[2]
