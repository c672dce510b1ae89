"""Read by the `pyinfra` command: the hosts of crosprov's inventory, reached as it says.

CROSPROV_INVENTORY names the inventory.
"""

from __future__ import annotations

import os
from pathlib import Path

from crosprov.inventory.load import load_lab


def _data(name: str) -> dict[str, object]:
    target = lab.hosts[name].ssh_target()
    data = {
        "ssh_hostname": target.host,
        "ssh_port": target.port,
        "ssh_user": target.user,
        "ssh_key": target.identity_file,
        "ssh_known_hosts_file": target.known_hosts,
        "_sudo": target.sudo,
    }
    return {key: value for key, value in data.items() if value is not None}


lab = load_lab(Path(os.environ["CROSPROV_INVENTORY"]))
hosts = [(name, _data(name)) for name in lab.hosts]
