"""What earlier changes of the same plan will have done, for the operations after them.

Facts tell what a host is; a later operation must also know what it will be by then. Pyinfra
draws operations in order, so each one leaves its effects here for those that follow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from pyinfra import host as current_host
from pyinfra.api import Host

from crosprov.facts.files import PathState
from crosprov.facts.units import UnitState
from crosprov.facts.users import UserState

_DOCKER_PACKAGES = {"docker.io", "docker-ce", "moby-engine"}


@dataclass(slots=True)
class Effects:
    """Collect what the plan of one host has decided so far."""

    restarts: dict[str, str] = field(default_factory=dict)  # unit -> digest of its configuration
    packages: set[str] = field(default_factory=set)  # to be installed
    paths: set[str] = field(default_factory=set)  # to be made
    users: set[str] = field(default_factory=set)  # to be made
    units: set[str] = field(default_factory=set)  # unit files to be written
    images: dict[str, str] = field(default_factory=dict)  # to be current: id, "" while not known
    notices: list[str] = field(default_factory=list)  # what cannot be done, in words
    about: dict[str, str] = field(default_factory=dict)  # what is worth showing in a status
    restarted: set[str] = field(default_factory=set)  # units, jobs, containers (re)started
    written: dict[str, PathState] = field(default_factory=dict)  # paths as they will be
    emptied: set[str] = field(default_factory=set)  # directories that will have lost their content
    recreated: set[str] = field(default_factory=set)  # containers made anew
    new_database: bool = False  # Dome, which answers now, begins with an empty database
    unit_states: dict[str, UnitState] = field(default_factory=dict)  # units as they will be
    accounts: dict[str, UserState] = field(default_factory=dict)  # users as they will be
    executing: bool = False  # pyinfra's own program carries out, after it prepared

    def provides(self, package: str | None) -> bool:
        """Tell whether this plan installs a package, so that its files are not known yet."""
        return package is not None and package in self.packages

    def empties(self, path: str) -> bool:
        """Tell whether this plan takes away what is at a path, with all that is around it."""
        return any(path.startswith(f"{folder}/") for folder in self.emptied)

    def image_differs(self, name: str, made_from: str, current: str) -> bool:
        """Tell whether a container's image is another one than its name points at by then.

        `made_from` and `current` are ids: the container's, and the one that the name points at
        now.
        """
        coming = self.images.get(name, current)
        return made_from != coming or (name in self.images and not coming)

    def restart_due(self, name: str, *, marked: bool) -> bool:
        """Tell whether a restart is due, by this plan or by a mark that was found on the host."""
        return name in self.restarts or (marked and name not in self.restarted)

    def restart_done(self, name: str) -> None:
        """Record that this plan (re)starts something, so that it is not due again."""
        self.restarts.pop(name, None)
        self.restarted.add(name)

    @property
    def brings_docker(self) -> bool:
        """Tell whether Docker will be of another version later in this plan than it is now."""
        return bool(self.packages & _DOCKER_PACKAGES)

    @property
    def starts_docker(self) -> bool:
        """Tell whether Docker will answer later in this plan although it may not do so now."""
        return self.brings_docker or "docker.service" in self.restarted


_effects: WeakKeyDictionary[Host, Effects] = WeakKeyDictionary()


def effects() -> Effects:
    """Give the effects of the plan of the current host, so far.

    Pyinfra's own program draws operations twice, to prepare and to execute; the second time
    begins anew, because by then facts tell what the first operations did.
    """
    host = _host()
    executing = bool(host.state.is_executing)
    known = _effects[host] if host in _effects else None
    if known is None or known.executing != executing:
        known = _effects[host] = Effects(executing=executing)
    return known


def forget(host: Host) -> None:
    """Begin a new plan of a host."""
    _effects.pop(host, None)


def state_dir() -> str:
    """Give the directory where crosprov keeps its records on the current host."""
    return str(current_host.data.get("crosprov_state_dir", "/var/lib/crosprov"))


def _host() -> Host:
    # `pyinfra.host` is a proxy that is the same object for all hosts.
    from pyinfra.context import ctx_host

    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    return host
