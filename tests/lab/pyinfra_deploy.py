"""Run by the `pyinfra` command: what crosprov's inventory says of a host, by crosprov's deploys.

See docs/with-pyinfra.md. CROSPROV_INVENTORY names the inventory.
"""

from __future__ import annotations

import os
from pathlib import Path

from pyinfra import host

from crosprov.deploying import role_deploys
from crosprov.inventory.load import load_lab

lab = load_lab(Path(os.environ["CROSPROV_INVENTORY"]))
for deploy in role_deploys(lab, lab.hosts[host.name]):
    deploy.call()
