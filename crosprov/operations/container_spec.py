"""What a container shall be, as a value that can be compared with what it was made from."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from crosprov.errors import PlanError
from crosprov.facts.containers import SPEC, SPEC_HASH
from crosprov.planning.plan import digest_of
from crosprov.secrets import vault

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_IMAGE = re.compile(r"[A-Za-z0-9][\w./:@-]*")
_PORT = re.compile(r"(?:(?:[\d.]+|\[[0-9a-fA-F:]+\]):)?(?:\d+:)?\d+(?:/(?:tcp|udp|sctp))?")
_VOLUME = re.compile(r"(?:[^:]+:)?/[^:]*(?::[a-zA-Z,]+)?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_RESTARTS = re.compile(r"no|always|unless-stopped|on-failure(?::\d+)?")


@dataclass(frozen=True)
class ContainerSpec:
    """Say what a container shall be made from; what is empty is left to the image.

    Ports are as in `docker run --publish` ("8000:80"), volumes as in `--volume`
    ("/a:/b", "/a:/b:ro", "name:/b", or "/b" for one without a name), tmpfs as in `--tmpfs`
    ("/run:size=16384k").
    """

    image: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    volumes_from: tuple[str, ...] = ()
    network: str | None = None
    privileged: bool = False
    tmpfs: tuple[str, ...] = ()
    workdir: str | None = None
    restart: str = "unless-stopped"

    @property
    def as_dict(self) -> dict[str, Any]:
        """Give what was said, as JSON values, without what was left to the image."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: _json(v) for k, v in given.items() if v or k in ("image", "restart")}

    @property
    def json(self) -> str:
        """Give the canonical text: equal specs, equal texts."""
        return json.dumps(self.as_dict, sort_keys=True, separators=(",", ":"))

    @property
    def digest(self) -> str:
        """Digest the spec: sha256 in hex over its canonical text."""
        return digest_of(self.as_dict)

    @property
    def needs(self) -> tuple[str, ...]:
        """Name the containers that it shares something with, and cannot outlive."""
        names = [source.split(":")[0] for source in self.volumes_from]
        if self.network and self.network.startswith("container:"):
            names.append(self.network.removeprefix("container:"))
        return tuple(dict.fromkeys(names))

    def run_words(self, name: str, extra: str = "") -> str:
        """Give the `docker run` line, quoted for the shell; `extra` is put in as it is."""
        options = ["-d", "--name", name, "--restart", self.restart]
        options += ["--label", f"{SPEC}={self.json}", "--label", f"{SPEC_HASH}={self.digest}"]
        for key, value in sorted(self.env.items()):
            options += ["-e", f"{key}={value}"]
        repeated = (
            ("-p", self.ports), ("-v", self.volumes), ("--volumes-from", self.volumes_from),
            ("--tmpfs", self.tmpfs),
        )  # fmt: skip
        options += [word for flag, values in repeated for value in values for word in (flag, value)]
        for flag, one in (("--network", self.network), ("-w", self.workdir)):
            options += [flag, one] if one else []
        options += ["--privileged"] if self.privileged else []
        quoted = " ".join(shlex.quote(word) for word in options)
        rest = " ".join(shlex.quote(word) for word in (self.image, *self.command))
        return f"docker run {quoted} {extra}{rest}"

    def check(self, name: str) -> None:
        """Raise PlanError for what Docker would not take, and for a secret.

        Secrets are refused because Docker shows environment and command to everybody who may
        ask it, and keeps them on the disk.
        """
        if vault.tokens_in(self.json):
            raise PlanError(
                f"the container {name} has a secret in its spec, where `docker inspect` shows it",
                hint="put the secret into a file and give the container the file as a volume",
            )
        for pattern, what, values in self._patterns(name):
            for value in values:
                if not pattern.fullmatch(value):
                    raise PlanError(f"{value!r} is not {what} (container {name})")

    def _patterns(self, name: str) -> tuple[tuple[re.Pattern[str], str, tuple[str, ...]], ...]:
        return (
            (_NAME, "the name of a container", (name, *self.needs)),
            (_IMAGE, "the name of an image", (self.image,)),
            (_PORT, "a port like 8000:80", self.ports),
            (_VOLUME, "a volume like /on/the/host:/inside:ro", self.volumes),
            (_VARIABLE, "the name of a variable", tuple(self.env)),
            (_RESTARTS, "a restart policy like unless-stopped", (self.restart,)),
        )


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
