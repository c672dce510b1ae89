"""The role `dev_server`: a ChromiumOS dev server with staged builds."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from crosprov.inventory.fields import (
    AbsolutePath,
    BucketPath,
    HostRef,
    PlainName,
    Port,
    Secret,
    SettingValue,
    refusal,
)
from crosprov.inventory.section import Section
from crosprov.roles.role import Claim, Probe, RoleSettings, http_probe


class Stage(Section):
    """A build that the dev server fetches before a DUT asks for it."""

    archive_url: BucketPath | None = Field(
        None,
        description="the build in Google Storage; exactly one of this and local_path",
        examples=["gs://chromeos-image-archive/eve-release/R120-15662.0.0"],
    )
    local_path: AbsolutePath | None = Field(
        None,
        description="the build in a folder of the host, below static_dir",
        examples=["/srv/devserver/static/incoming/R120-15662.0.0"],
    )
    artifacts: tuple[PlainName, ...] = Field(
        (),
        description="artifacts by the dev server's names",
        examples=[["full_payload", "stateful"]],
    )
    files: tuple[SettingValue, ...] = Field(
        (), description="files of the build by their own names", examples=[["stateful.tgz"]]
    )

    @model_validator(mode="after")
    def _complete(self) -> Stage:
        if (self.archive_url is None) == (self.local_path is None):
            raise refusal("must have exactly one of archive_url and local_path")
        if not self.artifacts and not self.files:
            raise refusal("names neither artifacts nor files, so nothing would be staged")
        return self


class Settings(RoleSettings):
    """A dev server: serves builds and updates to DUTs."""

    after: ClassVar[tuple[str, ...]] = ("common", "mirror")

    port: Port = Field(8080, description="port of the dev server", examples=[8080])
    static_dir: AbsolutePath = Field(
        "/srv/devserver/static",
        description="folder of the staged builds",
        examples=["/srv/devserver/static"],
    )
    mirrors: Annotated[str, HostRef("mirror")] | None = Field(
        None, description="where its builds fetch source archives", examples=["mirror1"]
    )
    stage: tuple[Stage, ...] = Field(
        (),
        description="builds that are staged (not carried out yet: the plan says so)",
        examples=[
            [
                {
                    "archive_url": "gs://bucket/eve-release/R120-15662.0.0",
                    "artifacts": ["full_payload", "stateful"],
                }
            ]
        ],
    )
    credentials: Secret | None = Field(
        None,
        description="the credentials file for Google Storage",
        examples=[{"file": "secrets/boto"}],
    )

    @model_validator(mode="after")
    def _local_builds_below_static_dir(self) -> Settings:
        for build in self.stage:
            path = build.local_path
            if path is not None and not path.startswith(f"{self.static_dir}/"):
                message = f"cannot stage {path}, which is not below {self.static_dir}"
                raise refusal(message, "the dev server reads only below its static_dir")
        return self

    def claims(self) -> tuple[Claim, ...]:
        """Return the dev server's port."""
        return (Claim(self.port, "port", "the dev server"),)

    def probes(self, address: str) -> tuple[Probe, ...]:
        """Ask for the dev server's own report of its health."""
        return (http_probe(address, self.port, "/check_health"),)
