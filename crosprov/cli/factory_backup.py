"""crosprov factory backup, crosprov factory restore"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crosprov.cli.options import AcceptOption, InventoryArgument, TwinOption
from crosprov.errors import CrosprovError, UsageError

if TYPE_CHECKING:
    from crosprov.factory.manifest import Manifest
    from crosprov.factory.place import Place
    from crosprov.factory.restore import Restored

BACKUP_EXAMPLES = """\
Examples:

\b
  crosprov factory backup lab.yml --host factory1 --out factory1.tar

The file holds keys and password hashes: only its owner may read it. Dome and the Umpires go on
working meanwhile.

Exit status: 0 done, 4 the host failed or was not reached, 1 the inventory has problems or the file
cannot be written, 64 wrong usage.
"""
RESTORE_EXAMPLES = """\
Examples:

\b
  crosprov factory restore lab.yml factory1.tar --host factory1
  crosprov factory restore lab.yml factory1.tar --host factory1 --replace factory1

Dome and the Umpires stand still while what was unpacked takes its place. Exit status as with
`crosprov factory backup`.
"""

HostOption = Annotated[
    str, typer.Option("--host", metavar="NAME", help="The factory server of the inventory.")
]


def backup(
    inventory: InventoryArgument,
    host: HostOption,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The archive to write; it must not exist.")
    ],
    logs: Annotated[bool, typer.Option("--logs", help="Take the logs, too.")] = False,
    twin: TwinOption = False,
    accept_new_host_keys: AcceptOption = False,
) -> None:
    """Back up a factory server's data: Dome's database, projects, keys, configuration."""
    from crosprov.cli.transfer import Transfer
    from crosprov.factory.backup import back_up

    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is no folder", hint=f"mkdir -p {out.parent}")
    with _place(inventory, host, twin, accept_new_host_keys) as place, Transfer() as shown:
        known = back_up(place, out, logs=logs, tell=shown.moved)
    for line in _backed_up(out, known):
        typer.echo(line)


def restore(
    inventory: InventoryArgument,
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="The archive of a backup.")],
    host: HostOption,
    replace: Annotated[
        str | None,
        typer.Option(
            "--replace", metavar="NAME",
            help="Put aside what this host has: its name once more, as a confirmation.",
        ),
    ] = None,
    twin: TwinOption = False,
    accept_new_host_keys: AcceptOption = False,
) -> None:  # fmt: skip
    """Bring the data of a backup back to a factory server, verified by every hash."""
    from crosprov.cli.transfer import Transfer
    from crosprov.factory.restore import restore as bring_back

    if replace is not None and replace != host:
        raise UsageError(
            f"--replace {replace} does not confirm --host {host}",
            hint="it has to be the name of the host whose data is put aside",
        )
    with _place(inventory, host, twin, accept_new_host_keys) as place, Transfer() as shown:
        done = bring_back(place, archive, replace=replace is not None, tell=shown.did)
    for line in _restored(place, done):
        typer.echo(line)


@contextmanager
def _place(inventory: Path, name: str, twin: bool, accept: bool) -> Iterator[Place]:
    """Give the factory server of an inventory that has this name."""
    import getpass
    import socket

    from crosprov.cli.session import open_session
    from crosprov.factory.place import Place
    from crosprov.inventory.factory import SCRIPT
    from crosprov.inventory.findings import suggest
    from crosprov.roles import factory_server

    session = open_session(inventory, None, None, twin, 1, accept)
    host = session.lab.hosts.get(name)
    if host is None:
        raise UsageError(f"{inventory} has no host {name}", hint=suggest(name, session.lab.hosts))
    if not host.plays("factory_server"):
        raise UsageError(f"{name} is no factory server", hint="its inventory has no factory_server")
    wanted = host.settings(factory_server.Settings)
    subject = session.scope.subjects[name]
    with session.fleet() as fleet:
        try:
            yield Place(
                host=name,
                connect=lambda: fleet.transport(subject.target),
                shared_dir=wanted.shared_dir,
                script=f"{wanted.script_dir}/{SCRIPT}",
                image=wanted.image,
                dome_port=wanted.dome_port,
                state_dir=subject.model().state_dir,
                by=f"{getpass.getuser()}@{socket.gethostname()}",
            )
        except CrosprovError:
            if session.stop.is_set():  # the connection was closed by Ctrl-C
                raise KeyboardInterrupt from None
            raise


def _backed_up(out: Path, known: Manifest) -> Iterator[str]:
    from crosprov.mirror.report import size_of

    files = sum(entry.kind == "f" for entry in known.entries.values())
    yield f"{known.host}: {files} files, {size_of(known.size)}, in {out}"
    versions = {"image": known.image_version, "script": known.script_version}
    told = ", ".join(f"{what} {version}" for what, version in versions.items() if version)
    yield f"{known.host}: {told or 'neither script nor image is there'}"
    for project in known.projects:
        state = f"enabled on port {project.port}" if project.enabled else "disabled"
        yield f"{known.host}: project {project.name}, {state}"
    for path in known.changed:
        yield f"{known.host}: {ascii(path)[1:-1]} was written to meanwhile; it may be cut"


def _restored(place: Place, done: Restored) -> Iterator[str]:
    known, host = done.manifest, place.host
    origin = "" if known.host == host else f" of {known.host}"
    yield f"{host}: the backup{origin} made at {known.made} is back, every hash verified"
    for folder in done.aside:
        yield f"{host}: what was there is in {place.shared_dir}/{folder}"
    for name in done.left:
        yield f"{host}: {name} was not started again: the backup has no data of it"
    if done.answered:
        count = len(known.projects)
        noun = "project" if count == 1 else "projects"
        yield f"{host}: Dome answers with its {count} {noun}"
    else:
        yield f"{host}: no Dome was running here; crosprov apply sets it up with this data"
    if done.answered and done.without_umpire:
        yield f"{host}: crosprov apply makes the Umpires of {', '.join(done.without_umpire)}"
