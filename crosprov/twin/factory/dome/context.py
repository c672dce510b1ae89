"""What a view has at hand: the request, the words of its path, and Dome's own things."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from crosprov.twin.factory import places
from crosprov.twin.factory.dome import fields
from crosprov.twin.factory.dome.accounts import Accounts
from crosprov.twin.factory.dome.answers import refused
from crosprov.twin.factory.dome.bundles import Bundles
from crosprov.twin.factory.dome.engine import Engine
from crosprov.twin.factory.dome.projects import Project, Projects
from crosprov.twin.factory.dome.settings import Settings
from crosprov.twin.factory.dome.uploads import Uploads
from crosprov.twin.factory.exchange import Answer, Request


@dataclass(frozen=True)
class Dome:
    """The stand-in's database, and the engine in which its Umpires run."""

    engine: Engine = field(default_factory=lambda: Engine(places.DOCKER_SOCKET))

    @cached_property
    def projects(self) -> Projects:
        return Projects(places.DATABASE, self.engine)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(places.DATABASE)

    @cached_property
    def settings(self) -> Settings:
        return Settings(places.DATABASE, self.engine)

    @cached_property
    def uploads(self) -> Uploads:
        return Uploads(places.DATABASE, places.UPLOADS)


@dataclass(frozen=True)
class Call:
    """A request to one of the addresses, with the words found in its path."""

    dome: Dome
    request: Request
    words: dict[str, str]

    @property
    def project(self) -> Project:
        """The project that the path names. Raises Refusal when there is none."""
        found = self.dome.projects.find(self.words["project"])
        if found is None:
            raise refused(404, "Not found.")
        return found

    @property
    def bundles(self) -> Bundles:
        """The bundles of the path's project; without one it is a failure, as in the original."""
        found = self.dome.projects.find(self.words["project"])
        if found is None:
            raise LookupError("Project matching query does not exist.")
        return Bundles(found, self.dome.uploads, self.request.is_abandoned)

    def data(self) -> Any:
        return fields.data_of(self.request)


View = Callable[[Call], Answer]
