"""The virtual lab: every host of an inventory, booted on this machine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from crosprov.errors import TwinError
from crosprov.locks import locked
from crosprov.transport.base import SshTarget
from crosprov.twin import network, record, registry, rootfs
from crosprov.twin.archives import share
from crosprov.twin.container import Base, Container, write_known_hosts
from crosprov.twin.keys import ensure_key
from crosprov.twin.layers import write_kind
from crosprov.twin.names import Names, short_hash
from crosprov.twin.readiness import BOOT_TIMEOUT, await_ready
from crosprov.twin.record import LabRecord, Seat
from crosprov.twin.removal import remains, remove, remove_groups
from crosprov.twin.requirements import why_not
from crosprov.twin.spec import Kind, TwinSpec, check
from crosprov.twin.subnets import lab_addresses
from crosprov.twin.watches import make_room

STATE = Path("/var/lib/crosprov-twin")

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TwinStatus:
    """Say where a twin is and whether it runs; `address` is the inventory's."""

    name: str
    kind: Kind
    address: str
    management: IPv4Address
    running: bool
    pid: int | None


class TwinLab:
    """A lab's twin. Its state is in a directory, so that each process finds it again."""

    def __init__(
        self, spec: TwinSpec, *, state_dir: Path | None = None, cache_dir: Path = rootfs.CACHE
    ) -> None:
        """Name the lab; nothing is looked at or made yet.

        `state_dir` is below /var/lib/crosprov-twin by default, one for each lab's name.
        """
        self.spec = spec
        self.state_dir = (state_dir or STATE / _directory_name(spec.lab)).resolve()
        self.cache_dir = cache_dir
        self._names = Names.of(self.state_dir)
        self._archives = cache_dir / "archives"

    @classmethod
    def at(cls, state_dir: Path) -> TwinLab:
        """Find a lab by its state directory, whatever is left of it."""
        try:
            found = record.load(state_dir / "lab.json")
        except TwinError:
            found = None
        spec = found.spec if found else TwinSpec(state_dir.name, ())
        return cls(spec, state_dir=state_dir)

    def up(self, progress: Progress) -> None:
        """Boot what does not run yet, all hosts at once; return when all can be logged in to.

        Raises TwinError when this machine cannot boot twins, when the lab is up with other
        hosts, or with the console's end of the first host that failed.
        """
        if reason := why_not():
            raise TwinError(f"this machine cannot boot a virtual lab: {reason}")
        check(self.spec)
        make_room()
        shared = rootfs.ensure(self.cache_dir, progress)
        with self._locked():
            lab = self._claim()
            waiting = [seat for seat in lab.seats if not self._container(seat).ready]
            if not waiting:
                number = len(lab.seats)
                who = "its twin is" if number == 1 else f"all {number} twins are"
                progress(f"lab {self.spec.lab}: {who} up already")
                return
            self._boot(lab, self._base(shared), waiting, progress)

    def down(self, progress: Progress) -> None:
        """End the lab and remove all that it made, disks included; nothing there is fine.

        Works from names alone, so it cleans up after a crash at any moment and after a
        reboot. Raises TwinError when something cannot be removed.
        """
        if reason := why_not():
            raise TwinError(f"this machine cannot have a virtual lab: {reason}")
        if not self.exists:
            progress(f"lab {self.spec.lab} is not up")
            return
        with self._locked():
            count = remove(self._names, self.state_dir, self._archives)
        progress(f"lab {self.spec.lab} is down: {_twins(count)} removed")

    @property
    def exists(self) -> bool:
        """Tell whether anything of the lab is on this machine, however it was left."""
        return remains(self._names, self.state_dir)

    def list(self) -> list[TwinStatus]:
        """List the twins with their addresses; empty when the lab is not up."""
        lab = self._load()
        return [self._status(seat) for seat in lab.seats] if lab else []

    def target(self, name: str) -> SshTarget:
        """Say how a twin is reached: the lab's own key, and host keys that are known."""
        host = self._seat(name).host
        return SshTarget(
            name=name,
            host=str(self._seat(name).management),
            port=22,
            user=host.user,
            identity_file=str(self.state_dir / "key"),
            known_hosts=str(self.state_dir / "known_hosts"),
            sudo=host.user != "root",
            use_ssh_config=False,
        )

    def ssh_command(self, name: str, *, user: str | None = None) -> tuple[str, ...]:
        """Return the OpenSSH command line that logs in to a twin; append the command to run."""
        return self._ssh(self._seat(name), user=user)

    def upper(self, name: str) -> Path:
        """Return the directory that holds all that was written on a twin's disk.

        A server's boot writes there too (logs, state of systemd). Downloaded packages,
        /var/lib/docker and a DUT's stateful partition are kept elsewhere.
        """
        return self._named(name).upper

    def stateful(self, name: str) -> Path:
        """Return what a DUT has at /mnt/stateful_partition; raises TwinError for other hosts."""
        return self._dut(name).stateful

    def firmware(self, name: str) -> Path:
        """Return the file with a DUT's crossystem values, lines NAME=VALUE; it may be edited."""
        return self._dut(name).firmware

    def stop(self, name: str) -> None:
        """Cut a twin's power. Its disk stays."""
        with self._locked():
            container = self._named(name)
            container.kill()
            remove_groups([container.machine])
            share(container.home / "archives", self._archives)

    def start(self, name: str) -> None:
        """Boot one twin that is off; one that runs is left alone."""
        with self._locked():
            self._loaded()
            lab = self._claim()  # after a reboot the lab has no network any more
            if not self._named(name).ready:
                base = self._base(rootfs.ensure(self.cache_dir, _mute))
                self._boot(lab, base, [lab.seat(name)], _mute)

    def restart(self, name: str) -> None:
        """Power-cycle one twin and return when it can be logged in to again."""
        self.stop(name)
        self.start(name)

    def cut(self, name: str) -> None:
        """Pull a twin's management link out, so that this machine cannot reach it."""
        network.set_link(self._names, self._seat(name), up=False)

    def heal(self, name: str) -> None:
        """Plug a twin's management link in again."""
        network.set_link(self._names, self._seat(name), up=True)

    def _claim(self) -> LabRecord:
        """Return the lab's record, made when missing; its network is the lab's from now on."""
        known = self._load()
        if known and known.spec != self.spec:
            raise TwinError(
                f"lab {self.spec.lab} is up with other hosts than the inventory has now",
                hint=f"take it down first: crosprov twin down {self.spec.lab}; its disks belong "
                "to the hosts as they were",
            )
        addresses = known.lab_addresses if known else lab_addresses(self.spec.hosts)
        subnet = registry.claim(
            self._names,
            self.state_dir,
            wanted=known.subnet if known else None,
            avoid=frozenset(IPv4Network(address) for address in addresses.values()),
        )
        lab = LabRecord(self.spec, subnet, addresses)
        if lab != known:
            record.save(self.state_dir / "lab.json", lab)
        return lab

    def _base(self, shared: Path) -> Base:
        self._archives.mkdir(exist_ok=True)
        kinds = self.state_dir / "kinds"
        for kind in {host.kind for host in self.spec.hosts}:
            if not (kinds / kind).is_dir():
                fresh = kinds / f"{kind}.new"
                write_kind(fresh, kind)
                fresh.rename(kinds / kind)
        key = ensure_key(self.state_dir / "key", f"crosprov twin {self.spec.lab}")
        for home in (self.state_dir / "hosts").glob("*"):
            share(home / "archives", self._archives)
        return Base(shared, kinds, self._archives, key)

    def _boot(self, lab: LabRecord, base: Base, seats: Sequence[Seat], progress: Progress) -> None:
        """Start hosts that are off and wait for all; each has its time before a failure is told."""
        twins = [self._container(seat) for seat in seats]
        asleep = [twin for twin in twins if twin.running is None]
        network.build(self._names, lab, [twin.seat for twin in asleep])
        with ThreadPoolExecutor(max_workers=min(len(twins), 16)) as pool:
            tuple(pool.map(lambda twin: twin.prepare(lab, base), asleep))
            write_known_hosts(self.state_dir / "known_hosts", map(self._container, lab.seats))
            booted = [pool.submit(self._boot_one, twin, base) for twin in twins]
            for future in as_completed(booted):
                if future.exception() is None:
                    progress(future.result())
        for future in booted:
            future.result()

    def _boot_one(self, twin: Container, base: Base) -> str:
        began = time.monotonic()
        if twin.running is None:
            twin.start(base)
        await_ready(twin, self._ssh(twin.seat, user="root"), timeout=BOOT_TIMEOUT)
        twin.mark_ready()
        host, took = twin.seat.host, time.monotonic() - began
        return f"{host.name}: {host.kind} at {twin.seat.management}, up in {took:.1f} s"

    def _ssh(self, seat: Seat, *, user: str | None = None) -> tuple[str, ...]:
        return (
            *("ssh", "-F", "none", "-o", f"IdentityFile={_ssh_path(self.state_dir / 'key')}"),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=10"),
            *("-o", f"UserKnownHostsFile={_ssh_path(self.state_dir / 'known_hosts')}"),
            *("-o", "GlobalKnownHostsFile=none", "-l", user or seat.host.user),
            str(seat.management),
        )

    def _status(self, seat: Seat) -> TwinStatus:
        running = self._container(seat).running
        return TwinStatus(
            seat.host.name,
            seat.host.kind,
            seat.host.address,
            seat.management,
            running is not None,
            running.pid if running else None,
        )

    def _dut(self, name: str) -> Container:
        container = self._named(name)
        if container.seat.host.kind is not Kind.DUT:
            raise TwinError(f"twin {name} is not a DUT and has no stateful partition")
        return container

    def _named(self, name: str) -> Container:
        return self._container(self._seat(name))

    def _container(self, seat: Seat) -> Container:
        return Container(self._names, seat, self.state_dir / "hosts" / seat.host.name)

    def _seat(self, name: str) -> Seat:
        return self._loaded().seat(name)

    def _loaded(self) -> LabRecord:
        lab = self._load()
        if lab is None:
            raise TwinError(f"lab {self.spec.lab} is not up", hint="boot it: crosprov twin up")
        return lab

    def _load(self) -> LabRecord | None:
        return record.load(self.state_dir / "lab.json")

    def _locked(self) -> AbstractContextManager[int]:
        return locked(self.state_dir / "lock")


def find_labs() -> list[TwinLab]:
    """Return the labs that are up, or that a crash or a reboot left behind."""
    known = {claim.state_dir for claim in registry.claims()}
    left = {path.parent for path in STATE.glob("*/lab.json")}
    return [TwinLab.at(state_dir) for state_dir in sorted(known | left)]


def _twins(count: int) -> str:
    return "1 twin" if count == 1 else f"{count} twins"


def _ssh_path(path: Path) -> str:
    """Write a path as ssh_config(5) reads it: quoted, and no percent sign is a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def _directory_name(lab: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9]+", "-", lab).strip("-").lower() or "lab"
    return f"{slug[:40]}-{short_hash(lab)}"


def _mute(_: str) -> None:
    return
