"""The parts of a factory server in an inventory: where it comes from, its projects, Overlord."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from crosprov.inventory.fields import (
    AnyJson,
    InventoryPath,
    Kind,
    Port,
    Secret,
    Sha256,
    matching,
    refusal,
)
from crosprov.inventory.section import Section
from crosprov.inventory.ssh import Address

SCRIPT = "cros_docker.sh"  # the deployment script's own name

# What an Umpire container publishes, counted from its base port, and how far apart Dome
# wants two bases to be: setup/cros_docker.sh and maxPortOffset of Dome's models, in the
# platform/factory tree of June 2023.
UMPIRE_OFFSETS = (0, 2, 4, 6, 8, 9)
MAX_PORT_OFFSET = 19


def _login(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}", value):
        raise refusal("must be up to 64 letters, digits and signs of _.@-")
    if value == "ovl":
        raise refusal("must not be ovl", "that is the account of Overlord's own tool")
    return value


ProjectName = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Za-z0-9_-]+", "must be a project name of letters, digits, - and _")
    ),
    Kind("project name"),
]
ServerVersion = Annotated[
    str,
    AfterValidator(
        matching(
            r"[0-9]{14}-[0-9a-f]{6}",
            "must be a version of the factory server: 14 digits, - and 6 hex digits",
            "`cros_docker.sh version` prints it, like 20230616101859-adb3ce",
        )
    ),
    Kind("version of the factory server"),
]
FileAddress = Annotated[
    str,
    AfterValidator(
        matching(r"https?://[^\s/]+/\S+", "must begin with https:// or http:// and name a file")
    ),
    Kind("http(s) address of a file"),
]
LoginName = Annotated[str, AfterValidator(_login), Kind("login name")]
InterfaceName = Annotated[
    str,
    AfterValidator(
        matching(
            r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}",
            "must be the name of a network interface",
            "`ip -brief link` lists them",
        )
    ),
    Kind("network interface"),
]
# The services of an Umpire's configuration, in the same tree.
ServiceName = Literal[
    "dkps", "dkps_proxy", "instalog", "multicast", "rsync", "shop_floor", "umpire_http",
    "umpire_sync", "umpire_timezone",
]  # fmt: skip
BasePort = Annotated[
    int, Field(ge=1, le=65535 - max(UMPIRE_OFFSETS)), Kind("port, followed by nine more")
]


class ScriptSource(Section):
    """Where the deployment script comes from: exactly one of url, checkout, file."""

    url: FileAddress | None = Field(
        None,
        description="address of the script, fetched by the controller; what is base64 is decoded",
        examples=[
            "https://chromium.googlesource.com/chromiumos/platform/factory/+/HEAD/setup/cros_docker.sh?format=TEXT"
        ],
    )
    checkout: InventoryPath | None = Field(
        None,
        description="a checkout of the factory repository on the controller, or a factory bundle "
        "(a folder, tar or zip) with setup/cros_docker.sh",
        examples=["factory"],
    )
    file: InventoryPath | None = Field(
        None, description="the script itself, on the controller", examples=["cros_docker.sh"]
    )
    sha256: Sha256 | None = Field(
        None, description="what the script's content must be", examples=["0" * 64]
    )

    @model_validator(mode="after")
    def _one(self) -> ScriptSource:
        if sum(source is not None for source in (self.url, self.checkout, self.file)) != 1:
            raise refusal("must name the script by exactly one of url, checkout, file")
        return self


class ResourceBundle(Section):
    """A bundle of resources (images, toolkit, firmware) that a project deploys."""

    file: InventoryPath = Field(
        description="the bundle on the controller: a tar or zip archive",
        examples=["factory_bundle_eve.tar.gz"],
    )
    name: str | None = Field(
        None, description="its name in Dome; without it the file's", examples=["eve-2023-06"]
    )
    note: str = Field("", description="its note in Dome", examples=["second build"])


class Project(Section):
    """A project of the factory server, with an Umpire of its own."""

    umpire_port: BasePort = Field(
        8080,
        description="base port of the project's Umpire; bases on one host are more than 19 apart",
        examples=[8080],
    )
    enabled: bool = Field(
        True, description="whether its Umpire runs; its data stays when not", examples=[True]
    )
    bundle: ResourceBundle | None = Field(
        None, description="the bundle of resources that it deploys",
        examples=[{"file": "factory_bundle_eve.tar.gz"}],
    )  # fmt: skip
    services: Mapping[ServiceName, Mapping[str, AnyJson]] = Field(
        {},
        description="services of its Umpire's configuration, merged into what is there: "
        "instalog (archive, forward), dkps, rsync, shop_floor and others",
        examples=[{"instalog": {"active": True}}],
    )
    absent: bool = Field(
        False, description="disable it; its data stays unless delete_data", examples=[False]
    )
    delete_data: bool = Field(
        False,
        description="with absent: delete the project and all its data, after a confirmation",
        examples=[False],
    )

    @model_validator(mode="after")
    def _deleting(self) -> Project:
        if self.delete_data and not self.absent:
            raise refusal("has delete_data for a project that is not absent", "add absent: true")
        if self.absent and self.enabled and "enabled" in self.model_fields_set:
            raise refusal("is both absent and enabled", "keep one of absent: true, enabled: true")
        return self


class Overlord(Section):
    """Overlord, the remote monitoring service, with its certificate and password."""

    http_port: Port = Field(9000, description="port of its web pages", examples=[9000])
    lan_interface: InterfaceName | None = Field(
        None,
        description="network interface on which it is discovered; without it, it is not",
        examples=["eth1"],
    )
    user: LoginName = Field("admin", description="name of its user", examples=["admin"])
    password: Secret = Field(
        description="password of its user", examples=[{"env": "OVERLORD_PASSWORD"}]
    )
    names: tuple[Address, ...] = Field(
        (),
        description="names and addresses that its certificate is for, besides the host's own",
        examples=[["overlord.example.com"]],
    )
