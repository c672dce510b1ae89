"""What a dev server has to have staged: what its section says, and what its DUTs shall run."""

from __future__ import annotations

import re
from dataclasses import replace

from crosprov.devserver.artifacts import ARTIFACTS
from crosprov.devserver.xbuddy import TYPES
from crosprov.errors import PlanError
from crosprov.inventory.lab import Host, Lab
from crosprov.operations.staging import Wish, united
from crosprov.roles import dev_server, dut
from crosprov.roles.builds import build_at

_EXPLICIT = re.compile(r"remote/(?P<board>[^/]+)/(?P<version>R\d+-\d[^/]*)/(?P<kind>[^/]+)")


def wishes_of(lab: Lab, host: Host) -> tuple[Wish, ...]:
    """Collect what a dev server has to have staged, one wish for each build.

    A build that `stage` names is taken from there, whoever else wants something of it. Raises
    PlanError when it may not keep that many builds, or a source cannot have what is wanted.
    """
    wanted = host.settings(dev_server.Settings)
    staged = [Wish(each.build, each.source, each.artifacts, each.files) for each in wanted.stage]
    sources = {wish.build: wish.source for wish in reversed(staged)}
    others = [*_by_xbuddy(wanted), *_by_duts(lab, host, wanted)]
    moved = [replace(wish, source=sources.get(wish.build, wish.source)) for wish in others]
    wishes = united([*staged, *moved])
    for wish in wishes:
        _refuse_guesses(wish)
    if 0 < wanted.capacity < len(wishes):
        raise PlanError(
            f"capacity lets the dev server keep {wanted.capacity} builds, and {len(wishes)} are "
            "wanted by stage, xbuddy and the DUTs",
            hint=f"write capacity: {len(wishes)} or more, or take some of them out",
        )
    return wishes


def _refuse_guesses(wish: Wish) -> None:
    """Refuse artifacts of a web server whose files have other names in each build."""
    if not wish.source.startswith(("http://", "https://")):
        return
    vague = [name for name in wish.artifacts if name in ARTIFACTS and not ARTIFACTS[name].is_plain]
    if vague:
        raise PlanError(
            f"{' and '.join(vague)} of {wish} cannot be staged from {wish.source}: a web server "
            "lists no files, and each build has other names for these",
            hint="stage the build from gs:// or with local_path; where no DUT has it as its "
            "version, its files can be named under files",
        )


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
        wishes.append(Wish(build_at(source), source, (TYPES[found["kind"]][0],)))
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
            wishes.append(Wish(build_at(source), source, device.wanted_artifacts()))
    return wishes
