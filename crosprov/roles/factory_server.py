"""The role `factory_server`: Dome and one Umpire for each project, as containers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, model_validator

from crosprov.inventory.fields import AbsolutePath, InventoryPath, Kind, Port, Secret, refusal
from crosprov.inventory.section import Section
from crosprov.roles.role import Claim, Probe, RoleSettings, http_probe

# What an Umpire container publishes, counted from its base port, and how far apart Dome
# wants two bases to be: setup/cros_docker.sh and maxPortOffset of Dome's models, in the
# platform/factory tree of June 2023.
UMPIRE_OFFSETS = (0, 2, 4, 6, 8, 9)
MAX_PORT_OFFSET = 19


def _project(value: str) -> str:
    if not value or not all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in value):
        raise refusal("must be a project name of letters, digits, - and _")
    return value


def _image(value: str) -> str:
    if not value or any(sign.isspace() for sign in value) or value.startswith("-"):
        raise refusal("must be the name of a container image")
    return value


ProjectName = Annotated[str, AfterValidator(_project), Kind("project name")]
ImageName = Annotated[str, AfterValidator(_image), Kind("image name")]
BasePort = Annotated[
    int, Field(ge=1, le=65535 - max(UMPIRE_OFFSETS)), Kind("port, followed by nine more")
]


class Project(Section):
    """A project of the factory server."""

    umpire_port: BasePort = Field(
        8080,
        description="base port of the project's Umpire; bases on one host are more than 19 apart",
        examples=[8080],
    )


class Settings(RoleSettings):
    """A factory server: Dome, and one Umpire for each project."""

    after: ClassVar[tuple[str, ...]] = ("common", "docker")
    implies: ClassVar[tuple[str, ...]] = ("docker",)

    dome_port: Port = Field(8000, description="port of Dome's web pages", examples=[8000])
    shared_dir: AbsolutePath = Field(
        "/cros_docker",
        description="folder of all data of Dome and Umpire",
        examples=["/cros_docker"],
    )
    image: ImageName = Field(
        "cros/factory_server",
        description="the container image",
        examples=["cros/factory_server"],
    )
    image_archive: InventoryPath | None = Field(
        None,
        description="the image as an archive on the controller, for hosts without a "
        "network; without it the host must have the image",
        examples=["factory-server.tar.xz"],
    )
    admin_password: Secret | None = Field(
        None,
        description="password of Dome's administrator; without it Dome's own default stays "
        "(not carried out yet: the plan says so)",
        examples=[{"env": "DOME_PASSWORD"}],
    )
    projects: Mapping[ProjectName, Project] = Field(
        {}, description="projects, by name", examples=[{"eve": {"umpire_port": 8080}}]
    )

    @model_validator(mode="after")
    def _bases_apart(self) -> Settings:
        for (one, first), (other, second) in combinations(self.projects.items(), 2):
            distance = abs(first.umpire_port - second.umpire_port)
            if distance <= MAX_PORT_OFFSET:
                message = f"has the bases of {one} and {other} only {distance} apart"
                hint = f"Umpire base ports on one host are more than {MAX_PORT_OFFSET} apart"
                raise refusal(message, hint)
        return self

    def claims(self) -> tuple[Claim, ...]:
        """Return Dome's port, and every port that an Umpire publishes."""
        umpires = (
            Claim(
                project.umpire_port + offset,
                f"projects.{name}.umpire_port",
                f"the Umpire of {name}",
            )
            for name, project in self.projects.items()
            for offset in UMPIRE_OFFSETS
        )
        return (Claim(self.dome_port, "dome_port", "Dome"), *umpires)

    def probes(self, address: str) -> tuple[Probe, ...]:
        """Ask for Dome's front page."""
        return (http_probe(address, self.dome_port, "/"),)
