"""The role `common`: state that any host may want."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, model_validator

from crosprov.inventory.fields import (
    AbsolutePath,
    AccountName,
    InventoryFile,
    Mode,
    PackageName,
    SecretRef,
    SettingKey,
    SettingValue,
    Text,
    UnitName,
    refusal,
)
from crosprov.inventory.section import Section
from crosprov.roles.role import RoleSettings


class User(Section):
    """An account of the host."""

    shell: AbsolutePath = Field(
        "/bin/bash", description="login shell", examples=["/usr/sbin/nologin"]
    )
    home: AbsolutePath | None = Field(
        None,
        description="home directory; without it what the host's useradd chooses",
        examples=["/srv/devserver"],
    )
    groups: tuple[AccountName, ...] = Field(
        (),
        description="further groups that the account is in; one that the host lacks is made",
        examples=[["adm"]],
    )
    system: bool = Field(False, description="an account of a service", examples=[True])
    authorized_keys: tuple[SettingValue, ...] = Field(
        (),
        description="public keys that may log in, as in authorized_keys",
        examples=[["ssh-ed25519 AAAA… lab@example.com"]],
    )


class Directory(Section):
    """A directory of the host."""

    mode: Mode = Field("0755", description="permissions", examples=["0755"])
    owner: AccountName = Field("root", description="owner, who must exist", examples=["root"])
    group: AccountName = Field("root", description="group, which must exist", examples=["root"])


class File(Section):
    """A file of the host: exactly one of content, source and template."""

    content: Text | None = Field(
        None,
        description="the content itself, or where a secret content is found",
        examples=["Property of the lab.\n"],
    )
    source: InventoryFile | None = Field(
        None,
        description="a file next to the inventory, copied byte by byte",
        examples=["files/motd"],
    )
    template: InventoryFile | None = Field(
        None, description="a Jinja template next to the inventory", examples=["files/motd.j2"]
    )
    vars: Mapping[str, Any] = Field(
        {},
        description="what the template knows, beside the host and the lab",
        examples=[{"contact": "lab@example.com"}],
    )
    mode: Mode = Field("0644", description="permissions", examples=["0644"])
    owner: AccountName = Field("root", description="owner, who must exist", examples=["root"])
    group: AccountName = Field("root", description="group, which must exist", examples=["root"])
    restarts: tuple[UnitName, ...] = Field(
        (),
        description="units that are restarted when the file changes",
        examples=[["ssh.service"]],
    )

    @model_validator(mode="after")
    def _one_origin(self) -> File:
        names = ("content", "source", "template")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            told = " and ".join(given) or "none"
            raise refusal(f"must have exactly one of content, source and template, but has {told}")
        if self.vars and self.template is None:
            raise refusal("has vars, which only a template uses")
        if isinstance(self.content, SecretRef) and int(self.mode, 8) & 0o004:
            message = f"holds a secret and has mode {self.mode}, with which everybody may read it"
            raise refusal(message, 'write mode: "0600"')
        return self


class Unit(Section):
    """A systemd unit of the host; what is absent is left as it is."""

    enabled: bool | None = Field(None, description="started at boot", examples=[True])
    running: bool | None = Field(None, description="running now", examples=[True])


class Settings(RoleSettings):
    """State that any host may want. Ranges are not expanded here: brackets are text."""

    pairs_ranges: ClassVar[bool] = False

    packages: tuple[PackageName, ...] = Field(
        (), description="packages that are installed", examples=[["curl", "rsync"]]
    )
    users: Mapping[AccountName, User] = Field(
        {}, description="accounts, by name", examples=[{"chronos": {"shell": "/bin/bash"}}]
    )
    directories: Mapping[AbsolutePath, Directory] = Field(
        {}, description="directories, by path", examples=[{"/srv/lab": {"mode": "0750"}}]
    )
    files: Mapping[AbsolutePath, File] = Field(
        {},
        description="whole files, by path",
        examples=[{"/etc/motd": {"content": "Property of the lab.\n"}}],
    )
    links: Mapping[AbsolutePath, SettingValue] = Field(
        {},
        description="symbolic links: path and target",
        examples=[{"/srv/images": "/mnt/large/images"}],
    )
    settings: Mapping[AbsolutePath, Mapping[SettingKey, SettingValue | None]] = Field(
        {},
        description="KEY=value lines in files of others, by path; null means that the key "
        "must be absent",
        examples=[{"/etc/default/locale": {"LANG": "C.UTF-8"}}],
    )
    blocks: Mapping[AbsolutePath, str] = Field(
        {},
        description="a marked block of lines in files of others, by path",
        examples=[{"/etc/hosts": "10.0.0.5 mirror1\n"}],
    )
    units: Mapping[UnitName, Unit] = Field(
        {},
        description="systemd units, by name",
        examples=[{"ssh.service": {"enabled": True, "running": True}}],
    )

    @model_validator(mode="after")
    def _one_writer_per_path(self) -> Settings:
        owners: dict[str, list[str]] = {}
        for name in ("directories", "files", "links", "settings", "blocks"):
            for path in getattr(self, name):
                owners.setdefault(path, []).append(name)
        clashes = [
            f"{path} under {' and '.join(names)}"
            for path, names in owners.items()
            if len(names) > 1 and names != ["settings", "blocks"]
        ]
        if clashes:
            raise refusal(f"has {', '.join(clashes)}", "one path has one purpose")
        return self
