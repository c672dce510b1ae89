"""The names of a factory server's containers, as its deployment script and Dome give them."""

from __future__ import annotations

UWSGI, NGINX = "dome_uwsgi", "dome_nginx"
DOME = (UWSGI, NGINX)
TFTP, MULTICAST = "dome_tftp", "dome_mcast"  # made by Dome when its settings ask for them
OVERLORD, DISCOVERY = "overlord", "overlord_lan_disc"


def umpire_of(project: str) -> str:
    """Name the container of a project's Umpire."""
    return f"umpire_{project}"
