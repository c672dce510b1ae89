"""The role `dut`: a device under test, running ChromiumOS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import AddressValueError, IPv6Address
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from crosprov.inventory.fields import (
    AbsolutePath,
    HostRef,
    Kind,
    Mode,
    PlainName,
    Seconds,
    SettingKey,
    SettingValue,
    Sha256,
    refusal,
)
from crosprov.inventory.findings import suggest
from crosprov.inventory.section import Section
from crosprov.lsb_release import FACTORY, OVERRIDE
from crosprov.roles import factory_server
from crosprov.roles.role import Objection, RoleSettings

# Where a DUT can be written to without giving up the verification of its root.
WRITABLE = ("/mnt/stateful_partition", "/usr/local", "/var", "/home/chronos", "/tmp")
RECORDS = "/mnt/stateful_partition/crosprov"

_VERSION = r"R\d+-(?P<numbers>\d+\.\d+\.\d+)(?:-[A-Za-z0-9_.]+)*"
_BUILD = re.compile(rf"(?:[^/\s]+/)+{_VERSION}")
_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def _label(value: str) -> str:
    steps = value.split("/")
    if not all(steps) or any(sign.isspace() for sign in value) or ".." in steps:
        raise refusal("must be the path of a build", "write board-release/R120-15662.0.0")
    return value


def _version(value: str) -> str:
    if re.fullmatch(r"\d+\.\d+\.\d+", value):
        raise refusal(
            "must be a version with its milestone, which the builds' folders are named by",
            f"write R121-{value} with the milestone of that version",
        )
    if not re.fullmatch(_VERSION, value):
        raise refusal("must be a version with its milestone", "write R121-15663.0.0")
    return value


def _builder_path(value: str) -> str:
    _label(value)
    if not _BUILD.fullmatch(value):
        raise refusal(
            "must be the path of a build that ends with its version",
            "write eve-release/R121-15663.0.0",
        )
    return value


def _address(value: str) -> str:
    try:
        return str(IPv6Address(value))
    except AddressValueError:
        if _ADDRESS.fullmatch(value):
            return value
    raise refusal(
        "must be an address or a host name, without a scheme and without a port",
        "write 10.0.1.1; the port is that of the dev server",
    )


def _static_path(value: str) -> str:
    if not re.fullmatch(r"[!-~]+", value) or set(value) & set("?#\"'\\%"):
        raise refusal("must be a path below the dev server's static directory")
    if value.startswith("/") or not set(value.split("/")).isdisjoint({"", ".", ".."}):
        raise refusal(
            "must be a path below the dev server's static directory, without .. and //",
            "write tools/autotest.tgz",
        )
    return value


def _writable(value: str) -> str:
    if not any(value.startswith(f"{place}/") for place in WRITABLE):
        raise refusal(
            "is not a place where a DUT can be written to", f"use one of {', '.join(WRITABLE)}"
        )
    if value in (OVERRIDE, FACTORY) or f"{value}/".startswith(f"{RECORDS}/"):
        raise refusal("is a place that crosprov itself writes")
    return value


Label = Annotated[str, AfterValidator(_label), Kind("path of a build")]
Version = Annotated[str, AfterValidator(_version), Kind("version with milestone")]
BuilderPath = Annotated[str, AfterValidator(_builder_path), Kind("path of a build")]
Address = Annotated[str, AfterValidator(_address), Kind("address or host name")]
StaticPath = Annotated[str, AfterValidator(_static_path), Kind("path below static")]
WritablePath = Annotated[AbsolutePath, AfterValidator(_writable), Kind("writable path of a DUT")]


class Fetched(Section):
    """A file that the DUT fetches from its dev server."""

    source: StaticPath = Field(
        description="the file, as a path below the dev server's static directory",
        examples=["tools/probe.sh"],
    )
    sha256: Sha256 | None = Field(
        None,
        description="digest of the file; without it the file is fetched again when the dev "
        "server has another one",
        examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
    )
    mode: Mode = Field("0644", description="permissions", examples=["0755"])


class Factory(Section):
    """The factory server that a DUT under production is installed from."""

    server: Annotated[str, HostRef("factory_server")] = Field(
        description="the factory server", examples=["factory1"]
    )
    project: PlainName = Field(description="the project there", examples=["eve"])
    address: Address | None = Field(
        None,
        description="the factory server's address as the DUT reaches it, when that is not the "
        "one of the inventory",
        examples=["10.0.1.1"],
    )


class Settings(RoleSettings):
    """A device under test. It plays no other role: its root is read-only."""

    alone: ClassVar[bool] = True

    board: PlainName = Field(description="the board that its image is for", examples=["eve"])
    dev_server: Annotated[str, HostRef("dev_server")] | None = Field(
        None, description="the host that it gets updates from", examples=["dev1"]
    )
    dev_server_address: Address | None = Field(
        None,
        description="the dev server's address as the DUT reaches it, when that is not the one "
        "of the inventory",
        examples=["10.0.1.1"],
    )
    label: Label | None = Field(
        None,
        description="pins a build: updates come from /update/LABEL of the dev server",
        examples=["eve-release/R120-15662.0.0"],
    )
    version: Version | None = Field(
        None,
        description="the build that it runs: that of the board's release builder",
        examples=["R121-15663.0.0"],
    )
    builder_path: BuilderPath | None = Field(
        None,
        description="the build that it runs, of any builder; instead of version",
        examples=["eve-full/R121-15663.0.0"],
    )
    reboot: Literal["never", "ask", "allow"] = Field(
        "ask",
        description="whether crosprov reboots it into a new build: never, ask (a plan that a "
        "person or --yes agreed to), allow",
        examples=["never"],
    )
    reboot_within: Seconds = Field(
        600.0,
        description="how long it may take to come back from that reboot; the first boot of a "
        "new build takes longer than others",
        examples=[300],
    )
    stateful: Literal["keep", "update"] = Field(
        "keep",
        description="what becomes of a test image's tools in /usr/local when another build is "
        "installed: keep them, or update them from the build's stateful.tgz, which empties "
        "/usr/local first",
        examples=["update"],
    )
    lsb_release: Mapping[SettingKey, SettingValue | None] = Field(
        {},
        description="further lines of the stateful lsb-release; null means that the key "
        "must be absent",
        examples=[{"CHROMEOS_RELEASE_TRACK": "testimage-channel"}],
    )
    stale_release_keys: Literal["report", "remove"] = Field(
        "report",
        description="what happens to copies of the image's CHROMEOS_RELEASE_ keys in the stateful "
        "lsb-release: report or remove",
        examples=["remove"],
    )
    files: Mapping[WritablePath, Fetched] = Field(
        {},
        description="files that it fetches from the dev server's static directory, by path",
        examples=[{"/usr/local/bin/probe.sh": {"source": "tools/probe.sh", "mode": "0755"}}],
    )
    factory: Factory | None = Field(
        None,
        description="the factory server that it is installed from, instead of a dev server",
        examples=[{"server": "factory1", "project": "eve"}],
    )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.version is not None and self.builder_path is not None:
            raise refusal("must have at most one of version and builder_path, but has both")
        needs = ("label", "version", "builder_path", "dev_server_address", "files")
        given = [name for name in needs if getattr(self, name)]
        if given and self.dev_server is None:
            raise refusal(f"has {given[0]}, and no dev_server to get it from")
        if self.factory is not None and self.dev_server is not None:
            raise refusal(
                "has both factory and dev_server",
                "a DUT under production has one server, its Umpire",
            )
        wanted = self.wanted_label()
        if self.label is not None and wanted is not None and self.label != wanted:
            raise refusal(
                f"wants the build {wanted} and pins its updates at {self.label}",
                "take label out: the build's own label is used for the update",
            )
        return self

    def objections(self, roles: Mapping[str, Mapping[str, RoleSettings]]) -> tuple[Objection, ...]:
        """Object to a project that its factory server does not have."""
        if self.factory is None:
            return ()
        server = roles.get(self.factory.server, {}).get("factory_server")
        if not isinstance(server, factory_server.Settings):
            return ()
        has = [name for name, project in server.projects.items() if not project.absent]
        if self.factory.project in has:
            return ()
        return (
            Objection(
                "factory.project",
                f"names the project {self.factory.project}, which {self.factory.server} "
                "does not have",
                suggest(self.factory.project, has) or f"its projects: {', '.join(has) or 'none'}",
            ),
        )

    def wanted_label(self) -> str | None:
        """Return the build that it shall run, as a label of the dev server."""
        if self.version is not None:
            return f"{self.board}-release/{self.version}"
        return self.builder_path

    def wanted_artifacts(self) -> tuple[str, ...]:
        """Return what the dev server has to have staged of that build."""
        return ("full_payload", "stateful") if self.stateful == "update" else ("full_payload",)


def numbers_of(label: str) -> str | None:
    """Return the release version in a build's name: 15663.0.0 of eve-release/R121-15663.0.0."""
    found = re.fullmatch(_VERSION, label.rpartition("/")[2])
    return found["numbers"] if found else None
