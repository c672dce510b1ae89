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
from crosprov.facts.files import Kind, PathFact, PathState
from crosprov.facts.jobs import JobFact
from crosprov.inventory.lab import Host, Lab
from crosprov.operations import marks, merge
from crosprov.operations.effects import effects
from crosprov.operations.jobs import job
from crosprov.operations.note import Commands
from crosprov.operations.operation import operation
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
    if wanted.dev_server is not None:
        addresses = _addresses(_root(lab, wanted.dev_server), wanted.label)
    else:
        addresses = _taken_back(lab)
    values = {**addresses, **wanted.lsb_release}
    _check(wanted, values)
    if not values and not _restart_is_due():
        return
    stateful_lsb_release()
    merge.settings(LSB_RELEASE, values, restarts=[JOB])
    job(JOB)


@operation
def stateful_lsb_release() -> Commands:
    """Refuse a directory in the file's place, and say when the update engine will not read all.

    It reads nothing after a line that is neither KEY=value nor a comment (libbrillo's
    KeyValueStore).
    """
    seen = current_host.get_fact(PathFact, path=LSB_RELEASE, limit=_LIMIT)
    if seen.kind is Kind.DIRECTORY:
        raise PlanError(
            f"{LSB_RELEASE} is a directory where a file is wanted",
            hint="some scripts make it so by mistake; look into it and remove it by hand",
        )
    for number, line in enumerate(_lines(seen), start=1):
        text = line.strip()
        if text and not text.startswith("#") and (text.startswith("=") or "=" not in text):
            effects().notices.append(
                f"{LSB_RELEASE}:{number} is neither KEY=value nor a comment, and the update "
                "engine reads nothing after it"
            )
            break
    yield from ()


def _addresses(root: str, label: str | None) -> dict[str, str | None]:
    return {UPDATES: f"{root}/update/{label}" if label else f"{root}/update", SERVER: root}


def _taken_back(lab: Lab) -> dict[str, str | None]:
    """Name the keys that point at a dev server of this lab, to be absent."""
    roots = [_root(lab, name) for name, other in lab.hosts.items() if other.plays("dev_server")]
    found: dict[str, str | None] = {}
    seen = current_host.get_fact(PathFact, path=LSB_RELEASE, limit=_LIMIT)
    for line in _lines(seen):
        key, _, value = line.partition("=")
        if key in (UPDATES, SERVER) and any(f"{value}/".startswith(f"{root}/") for root in roots):
            found[key] = None
    return found


def _lines(seen: PathState) -> list[str]:
    return (seen.content or b"").decode("utf-8", "replace").split("\n")


def _restart_is_due() -> bool:
    return current_host.get_fact(JobFact, job=JOB, mark=marks.mark_of(JOB)).due


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
