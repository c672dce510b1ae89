"""The role `docker`: a Docker engine, from one of three places, with its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, JsonValue, model_validator

from crosprov.inventory.fields import (
    AbsolutePath,
    AccountName,
    AnyJson,
    InventoryPath,
    Kind,
    PackageName,
    PlainName,
    WebAddress,
    refusal,
)
from crosprov.inventory.section import Section
from crosprov.roles.role import RoleSettings

CE_PACKAGES = ("docker-ce", "docker-ce-cli", "containerd.io")

# The members of daemon.json that have a key of their own.
_OWN_KEYS = {"data-root": "data_root", "registry-mirrors": "registry_mirrors"}
_OWN_OPTIONS = {"max-size": "log_max_size", "max-file": "log_max_files"}


def _log_size(value: str) -> str:
    number, unit = value[:-1], value[-1:]
    if unit not in ("k", "m", "g") or not number.isdecimal() or number.startswith("0"):
        raise refusal("must be a size with its unit, k, m or g", "write 10m")
    return value


LogSize = Annotated[str, AfterValidator(_log_size), Kind("size with k, m or g")]


class Repository(Section):
    """A repository of packages, signed with a key that counts for it alone."""

    url: WebAddress = Field(
        description="address of the repository",
        examples=["https://packages.example.com/docker/debian"],
    )
    suite: PlainName = Field(description="suite of the repository", examples=["bookworm"])
    components: tuple[PlainName, ...] = Field(
        ("stable",), min_length=1, description="components of the suite", examples=[["stable"]]
    )
    key: InventoryPath = Field(
        description="the OpenPGP key that signs it, a file next to the inventory",
        examples=["files/docker.asc"],
    )
    packages: tuple[PackageName, ...] = Field(
        CE_PACKAGES,
        min_length=1,
        description="packages that are installed from it",
        examples=[list(CE_PACKAGES)],
    )


class Settings(RoleSettings):
    """A Docker engine, enabled and running.

    It comes from the host's distribution, from a repository, or from package files.
    """

    after: ClassVar[tuple[str, ...]] = ("common",)

    users: tuple[AccountName, ...] = Field(
        (),
        description="accounts that are put into the group docker, which makes them as "
        "mighty as root",
        examples=[["chronos"]],
    )
    package: PackageName = Field(
        "docker.io", description="the package of the distribution", examples=["docker.io"]
    )
    repository: Repository | None = Field(
        None,
        description="a repository from which Docker comes instead",
        examples=[{
            "url": "https://packages.example.com/docker/debian", "suite": "bookworm",
            "key": "files/docker.asc",
        }],
    )  # fmt: skip
    package_files: tuple[InventoryPath, ...] = Field(
        (),
        description="package files on the controller from which Docker comes instead, with all "
        "that they depend on and the host lacks: nothing is fetched from a network",
        examples=[["packages/docker.io_20.10.24_amd64.deb"]],
    )
    data_root: AbsolutePath | None = Field(
        None,
        description="folder of all images and containers; without it Docker's own, "
        "/var/lib/docker; crosprov never moves what is in there",
        examples=["/data/docker"],
    )
    log_max_size: LogSize | None = Field(
        "10m",
        description="size at which the log of a container is rotated; null leaves it as it is; "
        "counts for containers that are made from then on",
        examples=["10m"],
    )
    log_max_files: int | None = Field(
        3,
        ge=1,
        le=1000,
        description="how many files of a container's log are kept; null leaves it as it is",
        examples=[3],
    )
    registry_mirrors: tuple[WebAddress, ...] | None = Field(
        None,
        description="mirrors that are asked before Docker's own registry; without it as they are",
        examples=[["https://registry.example.com"]],
    )
    settings: Mapping[str, AnyJson] = Field(
        {},
        description="other members of /etc/docker/daemon.json; objects are merged, null takes a "
        "member away, and all that is not named stays",
        examples=[{"live-restore": True}],
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Settings:
        given = [
            key for key in ("package", "repository", "package_files")
            if key in self.model_fields_set and getattr(self, key)
        ]  # fmt: skip
        if len(given) > 1:
            raise refusal(
                f"has {' and '.join(given)}, and Docker comes from one place",
                "keep one of package, repository and package_files",
            )
        return self

    @model_validator(mode="after")
    def _own_keys(self) -> Settings:
        options = self.settings.get("log-opts")
        named = options if isinstance(options, Mapping) else {}
        for members, keys in ((self.settings, _OWN_KEYS), (named, _OWN_OPTIONS)):
            for member, key in keys.items():
                if member in members:
                    raise refusal(f"has {member} in settings", f"write {key} instead")
        return self

    @property
    def rotation_asked(self) -> bool:
        """Tell whether log rotation was asked for, and is not only the default."""
        asked = {"log_max_size", "log_max_files"} & self.model_fields_set
        return any(getattr(self, key) is not None for key in asked)

    def daemon(self) -> dict[str, JsonValue]:
        """Give the members of daemon.json that are wanted."""
        wanted = dict(self.settings)
        options: dict[str, JsonValue] = {}
        if self.log_max_size is not None:
            options["max-size"] = self.log_max_size
        if self.log_max_files is not None:
            options["max-file"] = str(self.log_max_files)  # a text to dockerd
        given = wanted.get("log-opts")
        if options:
            wanted["log-opts"] = {**(given if isinstance(given, dict) else {}), **options}
        if self.data_root is not None:
            wanted["data-root"] = self.data_root
        if self.registry_mirrors is not None:
            wanted["registry-mirrors"] = list(self.registry_mirrors)
        return wanted
