"""Builds: where a dev server gets them, and what they are called in its `static_dir`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from crosprov.inventory.fields import (
    AbsolutePath,
    BuildSource,
    InventoryPath,
    Kind,
    PlainName,
    refusal,
)
from crosprov.inventory.section import Section

_STEP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@:=,~ -]*")


def _static(value: str) -> str:
    steps = value.split("/")
    if value.startswith("/") or "" in steps:
        raise refusal("must be a path below static_dir", "write packages/eve, without / at an end")
    for step in steps:
        if not _STEP.fullmatch(step):
            message = "must be of names that begin with a letter, a digit or _"
            raise refusal(message, f"{step} is no such name")
    return value


def _xbuddy(value: str) -> str:
    steps = value.split("/")
    place = 1 if steps[0] in ("local", "remote") else 0
    if not all(re.fullmatch(r"[A-Za-z0-9_.+-]+", step) for step in steps) or ".." in steps:
        message = "must be an xBuddy path"
        raise refusal(message, "write remote/eve/latest-dev/test, or a part of it")
    if len(steps) - place > 3:
        raise refusal("has more than a board, a version and an image type")
    return value


def _file_of_build(value: str) -> str:
    if not value or re.search(r"[,\n\r\0]", value) or value.startswith("/"):
        raise refusal("must be the name of a file of the build, without a comma")
    if ".." in value.split("/"):
        raise refusal("must not leave the build")
    return value


def _present(path: Path, info: ValidationInfo) -> Path:
    if info.context and info.context.get("folder") and not (path.is_file() or path.is_dir()):
        raise refusal(f"names a file or folder that does not exist: {path}")
    return path


StaticPath = Annotated[str, AfterValidator(_static), Kind("path below static_dir")]
XbuddyPath = Annotated[str, AfterValidator(_xbuddy), Kind("xBuddy path")]
FileOfBuild = Annotated[str, AfterValidator(_file_of_build), Kind("file name")]
LocalTree = Annotated[
    InventoryPath,
    AfterValidator(_present),
    Kind("file or folder next to the inventory"),
]


class Stage(Section):
    """A build that the dev server fetches before a DUT asks for it."""

    archive_url: BuildSource | None = Field(
        None,
        description="the build in Google Storage (or, for an embedded dev server, on a web "
        "server); exactly one of this and local_path",
        examples=["gs://chromeos-image-archive/eve-release/R120-15662.0.0"],
    )
    local_path: AbsolutePath | None = Field(
        None,
        description="the build in a folder of the host, below static_dir; it is staged as "
        "the last two names of the path",
        examples=["/srv/devserver/static/incoming/eve-release/R120-15662.0.0"],
    )
    artifacts: tuple[PlainName, ...] = Field(
        (),
        description="artifacts by the dev server's names",
        examples=[["full_payload", "stateful"]],
    )
    files: tuple[FileOfBuild, ...] = Field(
        (), description="files of the build by their own names", examples=[["stateful.tgz"]]
    )

    @model_validator(mode="after")
    def _complete(self) -> Stage:
        if (self.archive_url is None) == (self.local_path is None):
            raise refusal("must have exactly one of archive_url and local_path")
        if not self.artifacts and not self.files:
            raise refusal("names neither artifacts nor files, so nothing would be staged")
        return self

    @property
    def source(self) -> str:
        """Where the build is: an address or a folder of the host."""
        return self.archive_url or self.local_path or ""

    @property
    def build(self) -> str:
        """What the build is called below static_dir, as the dev server names it.

        Of an address only the bucket or server is dropped; of a folder the last two names stay
        (reference: devserver.py, Downloader.GetBuildDir).
        """
        if self.local_path is not None:
            return "/".join(self.local_path.split("/")[-2:])
        return build_at(self.source)


def build_at(address: str) -> str:
    """Return what the build at an address is called below a dev server's static_dir."""
    return urlsplit(address).path.strip("/")


class StaticFiles(Section):
    """Files of the controller that the dev server serves."""

    source: LocalTree = Field(
        description="a file or a folder next to the inventory", examples=["packages"]
    )
    delete: bool = Field(
        False,
        description="remove what is below this path and no longer in the folder",
        examples=[True],
    )


def _as_section(value: object) -> object:
    return {"source": value} if isinstance(value, str | Path) else value


StaticTree = Annotated[
    StaticFiles, BeforeValidator(_as_section, json_schema_input_type=str | StaticFiles)
]
