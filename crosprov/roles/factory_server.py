"""The role `factory_server`: Dome and one Umpire for each project, as containers."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from crosprov.inventory.factory import (
    MAX_PORT_OFFSET,
    UMPIRE_OFFSETS,
    Overlord,
    Project,
    ProjectName,
    ScriptSource,
    ServerVersion,
)
from crosprov.inventory.fields import (
    AbsolutePath,
    InventoryPath,
    Port,
    Secret,
    matching,
    refusal,
)
from crosprov.roles.role import Claim, Objection, Probe, RoleSettings, http_probe

OVERLORD_PORT = 4455  # where ghosts connect: setup/cros_docker.sh


# Docker's --volume takes no colon, and the script does not quote all that it is given.
PlainPath = Annotated[
    AbsolutePath,
    AfterValidator(
        matching(
            r"(/[A-Za-z0-9._+@-]+)+",
            "must be a folder below / whose path has only letters, digits and . _ + @ -",
        )
    ),
]


_FAR_ENOUGH = f"Umpire base ports on one host are more than {MAX_PORT_OFFSET} apart"


def _too_near(distance: int, other: str) -> str | None:
    if distance > MAX_PORT_OFFSET:
        return None
    return (
        f"is only {distance} away from that of {other}"
        if distance
        else f"is the same base as that of {other}"
    )


class Settings(RoleSettings):
    """A factory server: Dome, and one Umpire for each project."""

    image: ClassVar[str] = "cros/factory_server"  # the name that the deployment script gives it

    former: ClassVar[Mapping[str, str]] = {
        "image": "the deployment script fixes the image's name; image_archive or bundle says "
        "where it comes from",
    }

    after: ClassVar[tuple[str, ...]] = ("common", "docker")
    implies: ClassVar[tuple[str, ...]] = ("docker",)

    dome_port: Port = Field(8000, description="port of Dome's web pages", examples=[8000])
    shared_dir: PlainPath = Field(
        "/cros_docker",
        description="folder of all data of Dome and Umpire",
        examples=["/cros_docker"],
    )
    profile: Literal["small", "minimal", "premium"] = Field(
        "minimal",
        description="what the host must have: minimal 2 GB of memory and 256 GB of storage, "
        "premium is warned below 16 GB and 4 TB; small is for trials and checks neither",
        examples=["minimal"],
    )
    version: ServerVersion | None = Field(
        None,
        description="version of script, image and Umpires; without it the script's own",
        examples=["20230616101859-adb3ce"],
    )
    bundle: InventoryPath | None = Field(
        None,
        description="script and image in one archive, made by `crosprov factory bundle`",
        examples=["factory-server-20230616101859-adb3ce.bundle"],
    )
    script: ScriptSource | None = Field(
        None,
        description="where the deployment script comes from, when not from a bundle; without both "
        "the host's own stays",
        examples=[{"file": "cros_docker.sh"}],
    )
    script_dir: PlainPath = Field(
        "/opt/cros_docker",
        description="folder of the deployment script on the host",
        examples=["/opt/cros_docker"],
    )
    image_archive: InventoryPath | None = Field(
        None,
        description="the image's tarball on the controller, when not from a bundle; without both "
        "the host pulls it",
        examples=["factory-server-20230616101859-adb3ce-docker-1.10.3.txz"],
    )
    admin_password: Secret | None = Field(
        None,
        description="password of Dome's administrator; without it Dome's own default stays, "
        "which the plan says",
        examples=[{"env": "DOME_PASSWORD"}],
    )
    projects: Mapping[ProjectName, Project] = Field(
        {}, description="projects, by name", examples=[{"eve": {"umpire_port": 8080}}]
    )

    overlord: Overlord | None = Field(
        None,
        description="Overlord, the remote monitoring service",
        examples=[{"password": {"env": "OVERLORD_PASSWORD"}}],
    )
    tftp: bool | None = Field(
        None, description="whether Dome runs a TFTP server; unset: as it is", examples=[True]
    )
    multicast: bool | None = Field(
        None,
        description="whether Dome runs the multicast service; unset: as it is",
        examples=[False],
    )
    version_check: bool = Field(
        False,
        description="whether Dome asks the internet for newer versions, which hangs without one",
        examples=[False],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Settings:
        if self.bundle is not None and (self.script is not None or self.image_archive is not None):
            raise refusal(
                "has a bundle and a script or an image_archive",
                "a bundle holds both: take the others out",
            )
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
            if project.enabled and not project.absent
            for offset in UMPIRE_OFFSETS
        )
        overlord: tuple[Claim, ...] = ()
        if self.overlord is not None:
            overlord = (
                Claim(self.overlord.http_port, "overlord.http_port", "Overlord"),
                Claim(OVERLORD_PORT, "overlord", "the ghosts of Overlord"),
            )
        return (Claim(self.dome_port, "dome_port", "Dome"), *overlord, *umpires)

    def objections(self, roles: Mapping[str, Mapping[str, RoleSettings]]) -> tuple[Objection, ...]:
        """Object to projects whose Umpires would take each other's ports."""
        kept = [(name, one.umpire_port) for name, one in self.projects.items() if not one.absent]
        return tuple(
            Objection(f"projects.{name}.umpire_port", message, _FAR_ENOUGH)
            for (other, first), (name, port) in combinations(kept, 2)
            if (message := _too_near(abs(port - first), other)) is not None
        )

    def probes(self, address: str) -> tuple[Probe, ...]:
        """Ask for Dome's front page."""
        return (http_probe(address, self.dome_port, "/"),)
