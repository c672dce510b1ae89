"""What is worth knowing of the projects of a factory server: for its status, and as notices."""

from __future__ import annotations

from collections.abc import Sequence

from crosprov.facts.umpire import UmpireState
from crosprov.operations.docker_daemon import NOT_KNOWN
from crosprov.operations.dome_requests import Dome
from crosprov.operations.effects import effects
from crosprov.operations.note import Commands
from crosprov.operations.operation import operation
from crosprov.operations.project_wish import State, Wish, dome_state, umpire_state

DEFAULT_SHARED = "/cros_docker"  # what Dome takes that is told no shared folder


@operation
def tell_projects(wishes: Sequence[Wish], /, *, dome: Dome) -> Commands:
    """Say in the host's status how each project is; nothing is changed."""
    rows = dome_state(dome).rows
    others = {name: row for name, row in rows.items() if name not in {w.name for w in wishes}}
    if others:
        effects().notices.append(
            f"Dome has projects that the inventory does not name: {', '.join(others)}; "
            + _fate([name for name, row in others.items() if row.enabled], dome)
        )
    for wish in wishes:
        if wish.state is State.ENABLED:
            _tell(wish, umpire_state(dome, wish))
        elif wish.state is State.DISABLED:
            seen = umpire_state(dome, wish)
            unseen = NOT_KNOWN if seen.docker == "down" else "disabled"
            effects().about[f"Umpire {wish.name}"] = seen.status or unseen
    yield from ()


def _fate(enabled: Sequence[str], dome: Dome) -> str:
    """Say what becomes of enabled projects that crosprov leaves alone.

    `run` has Dome's `restart_old_umpire` make Umpires of another version anew, and tells it
    nothing of the shared folder (do_prepare_dome of setup/cros_docker.sh, June 2023).
    """
    if not enabled or dome.image not in effects().images:
        return "they stay as they are"
    names = ", ".join(enabled)
    if dome.shared_dir == DEFAULT_SHARED:
        return f"name them, or {names} may go on from the image of before"
    return (
        f"name them, or the deployment script may make the Umpires of {names} anew with data in "
        f"{DEFAULT_SHARED} in place of {dome.shared_dir}"
    )


def _tell(wish: Wish, seen: UmpireState) -> None:
    about = effects().about
    answers = f"version {seen.version}, answers on port {wish.base}"
    if seen.docker == "down":
        words = NOT_KNOWN if seen.version is None else f"{answers}; Docker does not"
    elif not seen.status:
        words = "not there"
    elif seen.status != "running":
        words = seen.status
    elif seen.version is None:
        words = f"runs, and does not answer on port {wish.base}"
    else:
        words = answers
    about[f"Umpire {wish.name}"] = words
    for name, answer in (("instalog", seen.instalog), ("dkps", seen.dkps)):
        if name in wish.asked:
            about[f"{_TITLES[name]} {wish.name}"] = _health(answer)


_TITLES = {"instalog": "Instalog", "dkps": "DKPS"}


def _health(answer: str) -> str:
    """Word the answer of a service; the proxy before Instalog answers 502 in its stead."""
    return "no answer" if answer in ("", "000", "502", "503", "504") else "answers"
