"""What each host should be: eleven resources, the same for every contender."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"
DRIFTING = "/etc/motd"

USER = "benchuser"
SHELL = "/bin/bash"
LINK = ("/srv/bench/current", "/srv/bench/data")
LINE = ("/etc/default/ssh", "LAB", "bench")
PACKAGES = ("curl", "procps", "tree")
ADDED_PACKAGES = ("tree",)  # what the root file system does not have yet

VARS: dict[str, object] = {
    "lab": "bench",
    "contact": "lab@example.com",
    "port": 8080,
    "peers": [f"10.0.0.{number}" for number in range(10, 30)],
}


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory with its permissions and owner; the group has the owner's name."""

    path: str
    mode: str
    owner: str = "root"


@dataclass(frozen=True, slots=True)
class Templated:
    """A file that is made from a template with VARS."""

    path: str
    template: str
    mode: str
    owner: str = "root"

    @property
    def source(self) -> Path:
        """Return the template on the controller."""
        return TEMPLATES / self.template

    @property
    def sha256(self) -> str:
        """Digest what the file should hold."""
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
        )
        text = environment.from_string(self.source.read_text()).render(VARS)
        return hashlib.sha256(text.encode()).hexdigest()


DIRECTORIES = (
    Directory("/srv/bench", "0755"),
    Directory("/srv/bench/data", "0750", USER),
    Directory("/srv/bench/cache", "0700", USER),
)
FILES = (
    Templated(DRIFTING, "motd.j2", "0644"),
    Templated("/etc/profile.d/bench.sh", "profile.sh.j2", "0644"),
    Templated("/srv/bench/bench.ini", "bench.ini.j2", "0640"),
    Templated("/srv/bench/data/peers.json", "peers.json.j2", "0640", USER),
)
