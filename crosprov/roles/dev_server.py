"""The role `dev_server`: a ChromiumOS dev server with staged builds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from crosprov.devserver.artifacts import chosen
from crosprov.devserver.failures import Refused
from crosprov.devserver.websources import WebSources
from crosprov.inventory.fields import (
    AbsolutePath,
    AccountOrNumber,
    BuildSource,
    HostRef,
    InventoryPath,
    Kind,
    PlainName,
    Port,
    Secret,
    SettingValue,
    WebAddress,
    refusal,
)
from crosprov.inventory.section import Section
from crosprov.roles.builds import Stage, StaticPath, StaticTree, XbuddyPath
from crosprov.roles.role import Claim, Probe, RoleSettings, http_probe

XBUDDY_SECTIONS = ("GENERAL", "PATH_REWRITES", "LOCATION_SUFFIXES")

# Keys that only one of the implementations can carry out.
ONLY_EMBEDDED = ("storage_endpoint", "web_sources", "capacity", "payload_generator", "wheelhouse")
ONLY_CHROMIUMOS = ("checkout", "python", "gsutil", "production", "test_image")


def _xbuddy_section(value: str) -> str:
    if value not in XBUDDY_SECTIONS:
        message = "is not a section that xBuddy reads"
        raise refusal(message, f"its sections are {', '.join(XBUDDY_SECTIONS)}")
    return value


def _xbuddy_key(value: str) -> str:
    if not value or value != value.strip() or any(sign in value for sign in "=:[]#;\n\r\0"):
        raise refusal("must be a key without blanks at its ends and without = : [ ] # and ;")
    return value


XbuddySection = Annotated[str, AfterValidator(_xbuddy_section), Kind("section")]
XbuddyKey = Annotated[str, AfterValidator(_xbuddy_key), Kind("key")]


class MirrorLogin(Section):
    """How builds log in at the private mirrors of a mirror host."""

    reader: PlainName | None = Field(
        None,
        description="as which of the mirror host's readers; without it as the one that is named "
        "as the host",
        examples=["builders"],
    )
    netrc: AbsolutePath = Field(
        "/etc/crosprov/mirrors.netrc",
        description="the file on the host that gets the password",
        examples=["/home/me/chromiumos/chroot/etc/crosprov.netrc"],
    )
    seen_as: AbsolutePath | None = Field(
        None,
        description="the path of that file for builds, where they run in a chroot",
        examples=["/etc/crosprov.netrc"],
    )
    owner: AccountOrNumber = Field(
        "root",
        description="the account that fetches, by its number where only a chroot knows its name; "
        "nobody else may read the file",
        examples=["250"],
    )

    @model_validator(mode="after")
    def _words_of_a_command(self) -> MirrorLogin:
        for path in (self.netrc, self.seen_as or ""):
            if not re.fullmatch(r"[\w./+@-]*", path, re.ASCII):
                message = f"has the path {path}, which becomes a word of make.conf's commands"
                raise refusal(message, "use letters, digits and . / + @ _ - only")
        return self


class Settings(RoleSettings):
    """A dev server: serves builds and updates to DUTs."""

    after: ClassVar[tuple[str, ...]] = ("common", "mirror")

    implementation: Literal["embedded", "chromiumos"] = Field(
        "embedded",
        description="embedded is the dev server that crosprov brings; chromiumos is the "
        "devserver of a ChromiumOS checkout of the host",
        examples=["embedded"],
    )
    port: Port = Field(8080, description="port of the dev server", examples=[8080])
    static_dir: AbsolutePath = Field(
        "/srv/devserver/static",
        description="folder of the staged builds",
        examples=["/srv/devserver/static"],
    )
    mirrors: Annotated[str, HostRef("mirror")] | None = Field(
        None, description="where its builds fetch source archives", examples=["mirror1"]
    )
    make_conf: AbsolutePath | None = Field(
        None,
        description="a make.conf of the host whose block says to fetch from mirrors only; "
        "without it that stands in /etc/crosprov/make.conf.mirrors, for a make.conf to source",
        examples=["/home/chromeos/chromiumos/chroot/etc/make.conf.user"],
    )
    mirror_login: MirrorLogin | None = Field(
        None,
        description="how its builds log in at private mirrors; without it as the reader that is "
        "named as the host, where the mirror host has such a one",
        examples=[{"reader": "builders"}],
    )
    credentials: Secret | None = Field(
        None,
        description="the credentials file for Google Storage: boto, or JSON for an embedded "
        "dev server",
        examples=[{"file": "secrets/boto"}],
    )
    archive: BuildSource = Field(
        "gs://chromeos-image-archive",
        description="where the builds are that are named by their labels, as by a DUT's version",
        examples=["gs://chromeos-image-archive"],
    )
    storage_endpoint: WebAddress | None = Field(
        None,
        description="another address of Google Storage's API; embedded only",
        examples=["http://10.0.0.5:9000"],
    )
    web_sources: tuple[WebAddress, ...] = Field(
        (),
        description="web servers, or folders of them, that clients of the dev server may have "
        "builds fetched from, and that may be led to by one; those of archive and stage are "
        "allowed without a word; embedded only",
        examples=[["https://builds.example.com/lab"]],
    )
    stage: tuple[Stage, ...] = Field(
        (),
        description="builds that are staged",
        examples=[
            [
                {
                    "archive_url": "gs://bucket/eve-release/R120-15662.0.0",
                    "artifacts": ["full_payload", "stateful"],
                }
            ]
        ],
    )
    xbuddy: tuple[XbuddyPath, ...] = Field(
        (),
        description="xBuddy paths that are translated by the dev server and staged",
        examples=[["remote/eve/R120-15662.0.0/full_payload"]],
    )
    xbuddy_config: Mapping[XbuddySection, Mapping[XbuddyKey, SettingValue]] = Field(
        {},
        description="the shadow configuration of xBuddy: keys by section",
        examples=[{"PATH_REWRITES": {"ours": "remote/BOARD/latest-dev"}}],
    )
    files: Mapping[StaticPath, StaticTree] = Field(
        {},
        description="files and folders next to the inventory that are served under static/, by "
        "path; a bare path stands for its source",
        examples=[{"packages": "packages"}],
    )
    capacity: int = Field(
        0,
        ge=0,
        le=100_000,
        description="how many staged builds are kept, the least recently used goes first; 0 "
        "keeps all; embedded only",
        examples=[20],
    )
    payload: AbsolutePath | None = Field(
        None,
        description="a payload file of the host that every DUT gets, whatever it asks for",
        examples=["/srv/devserver/payloads/update.gz"],
    )
    use_cached: bool = Field(
        False,
        description="serve the update.gz that lies in static_dir to every DUT",
        examples=[True],
    )
    image: AbsolutePath | None = Field(
        None,
        description="an image of the host of which a payload is made for every DUT",
        examples=["/srv/devserver/images/chromiumos_test_image.bin"],
    )
    src_image: AbsolutePath | None = Field(
        None,
        description="the image that DUTs run, so that the payload of image is a delta from it",
        examples=["/srv/devserver/images/old_test_image.bin"],
    )
    pregenerate_update: bool = Field(
        False,
        description="make the payload of image before the dev server serves",
        examples=[True],
    )
    payload_generator: AbsolutePath | None = Field(
        None,
        description="the program of the host that makes payloads; without it "
        "cros_generate_update_payload; embedded only",
        examples=["/usr/bin/cros_generate_update_payload"],
    )
    board: PlainName | None = Field(
        None,
        description="the board of DUTs whose requests do not name theirs",
        examples=["eve"],
    )
    test_image: bool = Field(
        False,
        description="prefer test images (-t), where the version still knows that; chromiumos only",
        examples=[True],
    )
    production: bool = Field(
        True, description="serve many DUTs at once; chromiumos only", examples=[True]
    )
    checkout: AbsolutePath | None = Field(
        None,
        description="the ChromiumOS checkout of the host whose devserver runs; required for "
        "chromiumos, and for it only",
        examples=["/home/chromeos/chromiumos"],
    )
    python: AbsolutePath | None = Field(
        None,
        description="the Python that runs the checkout's devserver; chromiumos only",
        examples=["/usr/bin/python3"],
    )
    gsutil: InventoryPath | None = Field(
        None,
        description="an archive or unpacked folder of the gsutil that the checkout's chromite "
        "would download; chromiumos only",
        examples=["gsutil_5.4.tar.gz"],
    )
    wheelhouse: InventoryPath | None = Field(
        None,
        description="a folder that `crosprov wheelhouse` filled, for a controller without a "
        "package index; embedded only",
        examples=["wheelhouse"],
    )

    @model_validator(mode="after")
    def _of_one_implementation(self) -> Settings:
        embedded = self.implementation == "embedded"
        foreign = ONLY_CHROMIUMOS if embedded else ONLY_EMBEDDED
        written = [name for name in foreign if name in self.model_fields_set]
        if written:
            other = "chromiumos" if embedded else "embedded"
            message = f"has {' and '.join(written)}, which implementation {other} has only"
            raise refusal(message, f"write implementation: {other}, or take it out")
        if not embedded and self.checkout is None:
            message = "has implementation chromiumos without a checkout"
            raise refusal(message, "write checkout: /home/someone/chromiumos")
        return self

    @model_validator(mode="after")
    def _make_conf_has_mirrors(self) -> Settings:
        if self.make_conf is not None and self.mirrors is None:
            raise refusal("has make_conf without mirrors", "write mirrors: mirror1")
        if self.mirror_login is not None and self.mirrors is None:
            raise refusal("has mirror_login without mirrors", "write mirrors: mirror1")
        return self

    @model_validator(mode="after")
    def _sources_can_be_read(self) -> Settings:
        for build in self.stage:
            if build.local_path is not None:
                self._check_local(build, build.local_path)
        if self.implementation == "chromiumos":
            for source in (self.archive, *(build.archive_url for build in self.stage)):
                if source is not None and not source.startswith("gs://"):
                    message = f"cannot stage from {source} with implementation chromiumos"
                    raise refusal(message, "it reads gs:// and local_path only")
        return self

    def _check_local(self, build: Stage, path: str) -> None:
        if not path.startswith(f"{self.static_dir}/"):
            message = f"cannot stage {path}, which is not below {self.static_dir}"
            raise refusal(message, "the dev server reads only below its static_dir")
        if path == f"{self.static_dir}/{build.build}":
            message = f"cannot stage {path}, which is already where it would be staged"
            deeper = f"{self.static_dir}/incoming/{build.build}"
            raise refusal(message, f"put the build deeper: {deeper}")

    @model_validator(mode="after")
    def _artifacts_are_known(self) -> Settings:
        if self.implementation == "embedded":  # another one says it itself, by its version
            for build in self.stage:
                try:
                    chosen(build.artifacts)
                except Refused as refused:
                    raise refusal(f"cannot stage {build.source}: {refused.sentence}") from None
        return self

    @model_validator(mode="after")
    def _web_sources_are_folders(self) -> Settings:
        try:
            WebSources(self.web_allowed)
        except Refused as refused:
            raise refusal(f"cannot fetch builds: {refused.sentence}") from None
        return self

    @model_validator(mode="after")
    def _one_image_for_all(self) -> Settings:
        given = [name for name in ("payload", "use_cached", "image") if getattr(self, name)]
        if len(given) > 1:
            raise refusal(f"has {' and '.join(given)}, and every DUT gets only one image")
        for name in ("src_image", "pregenerate_update"):
            if getattr(self, name) and self.image is None:
                raise refusal(f"has {name} without image")
        return self

    @model_validator(mode="after")
    def _one_writer_per_path(self) -> Settings:
        builds = {build.build for build in self.stage}
        for path in self.files:
            for other in (*builds, *(name for name in self.files if name != path)):
                if f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/"):
                    what = "files" if other in self.files else "a build that is staged"
                    message = f"has {path} under files, and {other} of {what} is the same place"
                    raise refusal(message, "one path has one purpose")
        return self

    def archive_url(self, label: str) -> str:
        """Return where the build of a label is: below `archive`."""
        return f"{self.archive}/{label}"

    @property
    def web_allowed(self) -> tuple[str, ...]:
        """Return the web servers that builds may be fetched from, besides that of `archive`."""
        staged = (build.archive_url or "" for build in self.stage)
        addresses = [*self.web_sources, *(url for url in staged if url.startswith("http"))]
        return tuple(dict.fromkeys(addresses))

    def claims(self) -> tuple[Claim, ...]:
        """Return the dev server's port."""
        return (Claim(self.port, "port", "the dev server"),)

    def probes(self, address: str) -> tuple[Probe, ...]:
        """Ask for the dev server's own report of its health."""
        return (http_probe(address, self.port, "/check_health"),)
