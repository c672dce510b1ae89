"""What must hold for Overlord on its host, and what there is to tell of it."""

from __future__ import annotations

from pyinfra import host

from crosprov.errors import PlanError
from crosprov.facts.containers import ContainerFact
from crosprov.facts.http import HttpFact
from crosprov.facts.overlord import (
    FILES,
    LEFT,
    CertificatesFact,
    InterfacesFact,
    UndeclaredFact,
)
from crosprov.operations import marks
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands
from crosprov.operations.operation import operation


@operation
def check_interface(name: str, /) -> Commands:
    """Refuse a network interface that the host has not: the announcer would end again and again.

    Raises PlanError, which names those that it has.
    """
    known = host.get_fact(InterfacesFact)
    if name not in known:
        raise PlanError(
            f"Overlord shall be discovered on {name}, and the host has no such network interface",
            hint=f"it has {', '.join(known) or 'none'}",
        )
    yield from ()


@operation
def tell(folder: str, url: str, /, *, port: int) -> Commands:
    """Tell for the host's status how Overlord is, and whether it asks for a password."""
    seen = host.get_fact(CertificatesFact, folder=folder)
    answer = host.get_fact(HttpFact, url=url)
    words = {"401": "runs", "200": "runs, and asks nobody for a password", "none": "no answer"}
    said = words.get(answer, f"answers {answer}")
    missing = [name for name in FILES if name not in seen.access]
    if answer == "401" and seen.openssl and not missing and not seen.lasting:
        said += f", its certificate ends within {LEFT} days"
    effects().about["Overlord"] = f"{said} (https, port {port})"
    yield from ()


@operation
def tell_announcer(name: str, interface: str, /, *, image: str) -> Commands:
    """Tell for the host's status whether Overlord is announced on a network."""
    mark = marks.mark_of(f"{name}.container")
    seen = host.get_fact(ContainerFact, container=name, image=image, mark=mark, needs=())
    words = "announced" if seen.running else f"not announced: {seen.status or 'not there'}"
    effects().about[f"Overlord on {interface}"] = words
    yield from ()


@operation
def tell_undeclared(*names: str) -> Commands:
    """Tell of containers that crosprov made and the inventory no longer declares."""
    for name in host.get_fact(UndeclaredFact, names=" ".join(names)):
        effects().notices.append(
            f"the container {name} is of crosprov and no longer in the inventory; it stays, and "
            f"`docker rm -f {name}` on the host removes it"
        )
    yield from ()
