"""What is wanted of a project of Dome, and what was observed of it and of its Umpire."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from pyinfra import host

from crosprov.facts.container_names import umpire_of
from crosprov.facts.dome import DomeFact, DomeState
from crosprov.facts.umpire import UmpireFact, UmpireState
from crosprov.inventory.factory import UMPIRE_OFFSETS
from crosprov.operations.deployment_script import LOCALTIME, SHARED_VOLUME
from crosprov.operations.dome_requests import Dome
from crosprov.operations.effects import effects

_INSIDE = 8080  # base port within a container


class State(StrEnum):
    """What a project shall be."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    ABSENT = "absent"  # disabled if Dome knows it
    DELETED = "deleted"  # with all its data


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of a project; `asked` are services that are asked whether they answer."""

    name: str
    base: int
    state: State = State.ENABLED
    asked: tuple[str, ...] = ()

    @property
    def container(self) -> str:
        """Name its container."""
        return umpire_of(self.name)


def dome_state(dome: Dome, *, schema: bool = False) -> DomeState:
    """Give what Dome told at this plan, with the schema of services where that is asked for.

    A Dome that this plan runs on a new database knows nothing of what it tells now.
    """
    told: DomeState = host.get_fact(DomeFact, port=dome.port, schema=schema)
    return replace(told, known=False, rows={}, settings=None) if effects().new_database else told


def why_unknown() -> str:
    """Say why it is not known what Dome knows."""
    return "its database is made anew" if effects().new_database else "it does not answer yet"


def umpire_state(dome: Dome, wish: Wish) -> UmpireState:
    """Give what was observed of a project's Umpire."""
    return host.get_fact(
        UmpireFact, project=wish.name, base=wish.base, image=dome.image,
        data=dome.data(wish.name), services=wish.asked,
    )  # fmt: skip


def made_from(dome: Dome, wish: Wish) -> tuple[str, ...]:
    """List what a project's container is made from, besides its image, as the fact words it."""
    lines = [
        "privileged true",
        "restart unless-stopped",
        "tmpfs /run rw,size=16384k",
        f"bind {dome.shared_dir}:/mnt",
        f"bind {dome.data(wish.name)}:/var/db/factory/umpire",
        f"bind {SHARED_VOLUME}:/tmp/shared",
        f"bind {LOCALTIME}:/etc/localtime:ro",
        f"env UMPIRE_PROJECT_NAME={wish.name}",
        f"env UMPIRE_PROJECT_PORT={wish.base}",
        *(f"port {_INSIDE + offset}/tcp {wish.base + offset}" for offset in UMPIRE_OFFSETS),
    ]
    return tuple(sorted(lines))


def known(dome: Dome, wish: Wish) -> bool:
    """Tell whether the configuration that was read is that of this project.

    It lies in the folder of its data, which outlives any container. Where it cannot be read there,
    it is the word of what answers at the port, which must be the project's own Umpire.
    """
    seen = umpire_state(dome, wish)
    ports = {line for line in made_from(dome, wish) if line.startswith("port ")}
    its_own = seen.stored or (seen.status == "running" and ports <= set(seen.made_from))
    return seen.config is not None and its_own


def made_anew(dome: Dome, wish: Wish, seen: UmpireState) -> list[str]:
    """Say why a container must be made anew."""
    wanted = set(made_from(dome, wish))
    has = {line for line in seen.made_from if not line.startswith("image ")}
    reasons = []
    if effects().image_differs(dome.image, seen.image, seen.wanted_image):
        reasons.append("its image changed")
    for what, words in _PARTS.items():
        if {li for li in has if li.startswith(words)} != {
            li for li in wanted if li.startswith(words)
        }:
            reasons.append(f"it has other {what}")
    return reasons


_PARTS = {
    "ports": ("port ",),
    "volumes": ("bind ", "tmpfs "),
    "variables": ("env ",),
    "rights": ("privileged ", "restart "),
}
