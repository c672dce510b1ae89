"""Point a device under test at its server, and have it run the build that it should.

The stateful lsb-release is a file of many writers: update_engine, nebraska, autotest. Only the
keys that the inventory names are touched. A DUT without a dev server loses the two addresses that
crosprov wrote, and no others: it has recorded them, or they are those of a dev server of the lab.
"""

from __future__ import annotations

from pyinfra import api

from crosprov.deploying import base_url
from crosprov.errors import PlanError
from crosprov.inventory.lab import Host, Lab
from crosprov.lsb_release import FACTORY, OVERRIDE, SERVER, UPDATES
from crosprov.operations import updating
from crosprov.operations.fetched import fetched
from crosprov.operations.installation import Source
from crosprov.operations.jobs import job
from crosprov.operations.looking import look
from crosprov.operations.override import Wish, former, override
from crosprov.operations.reaching import ANY_ANSWER, Question, reachable
from crosprov.roles import dev_server, dut, factory_server
from crosprov.roles.builds import build_at

JOB = "update-engine"


@api.deploy("Device under test")
def deploy(lab: Lab, host: Host) -> None:
    """Set the addresses, restart the update engine for them, install the build, fetch files."""
    wanted = host.settings(dut.Settings)
    _check(wanted)
    look(wanted.board, server=wanted.dev_server)
    wishes = _wishes(lab, wanted)
    question = _question(lab, wanted)
    if question is not None:
        reachable(question, wishes, want=_want(wanted))
    for wish in wishes:
        override(wish, restarts=[JOB] if wish.path == OVERRIDE else [])
    if wanted.factory is None:
        former(Wish(FACTORY))
    job(JOB, only_due=wanted.dev_server is None and not wanted.lsb_release)
    if wanted.dev_server is not None:
        _from_dev_server(lab, wanted, wanted.dev_server)


def _from_dev_server(lab: Lab, wanted: dut.Settings, name: str) -> None:
    server = lab.hosts[name].settings(dev_server.Settings)
    root = _root(lab, wanted, name)
    label = wanted.wanted_label()
    if label is not None:
        archive = server.archive_url(label)
        updating.build(
            label,
            numbers=dut.numbers_of(label) or "",
            source=Source(name, root, archive, build_at(archive)),
            board=wanted.board,
            reboot=wanted.reboot,
            reboot_within=wanted.reboot_within,
            stateful=wanted.stateful == "update",
            pinned=wanted.label is not None,
        )
    elif wanted.label is not None and dut.numbers_of(wanted.label) is not None:
        # A label is all of a build's name, and so what follows the bucket.
        archive = "/".join((*server.archive.split("/")[:3], wanted.label))
        source = Source(name, root, archive, wanted.label)
        updating.served(source, label=wanted.label)
    for path, file in wanted.files.items():
        url = f"{root}/static/{file.source}"
        fetched(path, url, sha256=file.sha256, mode=file.mode)


def _want(wanted: dut.Settings) -> tuple[str, str] | None:
    """Give label and release version of the build that is wanted."""
    label = wanted.wanted_label()
    return None if label is None else (label, dut.numbers_of(label) or "")


def _question(lab: Lab, wanted: dut.Settings) -> Question | None:
    """Word what the DUT asks its server, be it a dev server or an Umpire."""
    if wanted.dev_server is not None:
        root = _root(lab, wanted, wanted.dev_server)
        return Question(f"{root}/check_health", wanted.dev_server, "dev_server_address")
    if wanted.factory is not None:
        name = f"the Umpire of {wanted.factory.project} on {wanted.factory.server}"
        return Question(f"{_umpire(lab, wanted.factory)}/", name, "factory.address", ANY_ANSWER)
    return None


def _wishes(lab: Lab, wanted: dut.Settings) -> list[Wish]:
    """Say what the file of the update engine shall hold, and under production the installer's."""
    addresses: dict[str, str] = {}
    if wanted.dev_server is not None:
        root = _root(lab, wanted, wanted.dev_server)
        label = wanted.label
        addresses = {UPDATES: f"{root}/update/{label}" if label else f"{root}/update", SERVER: root}
    wishes = [
        Wish(
            OVERRIDE,
            addresses=addresses,
            settings=wanted.lsb_release,
            ours=() if addresses else _would_write(lab, wanted),
            remove_stale=wanted.stale_release_keys == "remove",
        )
    ]
    if wanted.factory is not None:
        url = f"{_umpire(lab, wanted.factory)}/update"
        wishes.append(Wish(FACTORY, addresses={UPDATES: url, SERVER: url}))
    return wishes


def _would_write(lab: Lab, wanted: dut.Settings) -> tuple[str, ...]:
    """List the lines that crosprov writes for some dev server of the lab."""
    lines = []
    for name, other in lab.hosts.items():
        if other.plays("dev_server"):
            root = _root(lab, wanted, name)
            lines += [f"{SERVER}={root}", f"{UPDATES}={root}/update"]
    return tuple(lines)


def _umpire(lab: Lab, factory: dut.Factory) -> str:
    """Word the root of a project's Umpire as the DUT reaches it."""
    server = lab.hosts[factory.server]
    project = server.settings(factory_server.Settings).projects[factory.project]
    return base_url(factory.address or server.address, project.umpire_port)


def _root(lab: Lab, wanted: dut.Settings, name: str) -> str:
    """Word the root of a dev server as the DUT reaches it."""
    server = lab.hosts[name]
    here = name == wanted.dev_server and wanted.dev_server_address
    return base_url(here or server.address, server.settings(dev_server.Settings).port)


def _check(wanted: dut.Settings) -> None:
    """Refuse lines that two keys of the inventory ask for."""
    for key in (UPDATES, SERVER):
        if wanted.dev_server is not None and key in wanted.lsb_release:
            raise PlanError(
                f"lsb_release sets {key}, which dev_server sets too",
                hint="take one of them out of the inventory",
            )
