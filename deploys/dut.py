"""Point a device under test at its dev server.

The stateful lsb-release is a file of many writers: update_engine, nebraska, autotest. Only the
keys that the inventory names are touched. A DUT without a dev server keeps both addresses,
unless they are those of a dev server of this lab: then crosprov wrote them, and takes them back.
"""

from __future__ import annotations

from pyinfra import api
from pyinfra import host as current_host

from crosprov.deploying import base_url
from crosprov.errors import PlanError
from crosprov.facts.files import Kind, PathFact
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import merge
from crosprov.operations.effects import effects
from crosprov.operations.jobs import job
from crosprov.roles import dev_server, dut

LSB_RELEASE = "/mnt/stateful_partition/etc/lsb-release"
UPDATES = "CHROMEOS_AUSERVER"
SERVER = "CHROMEOS_DEVSERVER"
JOB = "update-engine"
_LIMIT = 1024 * 1024  # bytes; as the merging operation asks, so that both are one question


@api.deploy("Device under test")
def deploy(lab: Lab, host: Host) -> None:
    """Set the lines of the stateful lsb-release, and restart the update engine for them."""
    wanted = host.settings(dut.Settings)
    lines = _lines_now()
    values = {**_addresses(lab, wanted, lines), **wanted.lsb_release}
    _check(wanted, values)
    if not values:
        return
    _warn_of_lost_lines(lines)
    merge.settings(LSB_RELEASE, values, restarts=[JOB])
    job(JOB)


def _lines_now() -> list[str]:
    """Read the file as it is on the DUT."""
    seen = current_host.get_fact(PathFact, path=LSB_RELEASE, limit=_LIMIT)
    if seen.kind is Kind.DIRECTORY:
        raise PlanError(
            f"{LSB_RELEASE} is a directory where a file is wanted",
            hint="some scripts make it so by mistake; look into it and remove it by hand",
        )
    return (seen.content or b"").decode("utf-8", "replace").split("\n")


def _addresses(lab: Lab, wanted: dut.Settings, lines: list[str]) -> dict[str, str | None]:
    if wanted.dev_server is not None:
        root = _root(lab, wanted.dev_server)
        label = f"/{wanted.label}" if wanted.label else ""
        return {UPDATES: f"{root}/update{label}", SERVER: root}
    roots = [_root(lab, name) for name, other in lab.hosts.items() if other.plays("dev_server")]
    found: dict[str, str | None] = {}
    for line in lines:
        key, _, value = line.partition("=")
        if key in (UPDATES, SERVER) and any(f"{value}/".startswith(f"{root}/") for root in roots):
            found[key] = None
    return found


def _root(lab: Lab, name: str) -> str:
    server = lab.hosts[name]
    return base_url(server.address, server.settings(dev_server.Settings).port)


def _check(wanted: dut.Settings, values: dict[str, str | None]) -> None:
    """Refuse lines that a reader of the file would take for something else."""
    for key in (UPDATES, SERVER):
        if wanted.dev_server is not None and key in wanted.lsb_release:
            raise PlanError(
                f"lsb_release sets {key}, which dev_server sets too",
                hint="take one of them out of the inventory",
            )
    for key, value in values.items():
        if value is not None and (value != value.strip() or value.endswith("\\")):
            raise PlanError(
                f"lsb_release has {key} with a blank or a backslash at an end, which the update "
                "engine does not read as it is meant",
                hint="take it away",
            )


def _warn_of_lost_lines(lines: list[str]) -> None:
    """Say when the update engine will not read as far as our lines (libbrillo's store)."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text and not text.startswith("#") and not text.partition("=")[1]:
            effects().notices.append(
                f"{LSB_RELEASE}:{number} is neither KEY=value nor a comment; the update engine "
                "reads nothing after it"
            )
            return
