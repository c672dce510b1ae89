"""The kinds of values in an inventory, each with its check and its name in the reference."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationInfo,
    model_validator,
)
from pydantic.functional_validators import AfterValidator
from pydantic.json_schema import WithJsonSchema
from pydantic_core import PydanticCustomError

from crosprov.inventory.section import Section


@dataclass(frozen=True, slots=True)
class Kind:
    """Name a kind of value for the reference."""

    name: str


@dataclass(frozen=True, slots=True)
class HostRef:
    """Mark a field that names a host which plays a role."""

    role: str


@dataclass(frozen=True, slots=True)
class MirrorRef:
    """Mark a field that names an entry of `mirrors`: in a folder, or else in a bucket."""

    in_bucket: bool = False


def refusal(message: str, hint: str | None = None) -> PydanticCustomError:
    """Make the error that a validator raises: a sentence without its subject, and a hint."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def matching(pattern: str, message: str, hint: str | None = None) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise refusal(message, hint)
        return value

    return check


def _absolute(value: str) -> str:
    if not value.startswith("/"):
        raise refusal("must be an absolute path", f"write /{value.removeprefix('./')}")
    if ".." in value.split("/") or "//" in value or "\n" in value or "\0" in value:
        raise refusal("must be a path without .., // and line breaks")
    if len(value) > 1 and value.endswith("/"):
        raise refusal("must not end with a slash", f"write {value.rstrip('/')}")
    return value


def _mode(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        message = "must be a file mode in quotes: YAML reads it as a number"
        raise refusal(message, f'write "{str(value).zfill(4)}"')
    if isinstance(value, str) and not re.fullmatch(r"0?[0-7]{3}|[0-7]{4}", value):
        raise refusal("must be a file mode in octal digits", 'write "0644"')
    return value


def _from_inventory(value: object, info: ValidationInfo) -> object:
    """Resolve ~ and paths that are relative to the folder of the inventory."""
    if isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise refusal("must be a path")
    if not value or "\0" in value:
        raise refusal("must be a path, not an empty text")
    try:
        path = Path(value).expanduser()
    except RuntimeError as error:
        raise refusal(f"names a home directory that is not known here: {value}") from error
    folder = info.context.get("folder") if info.context else None
    return folder / path if folder else path


def _existing(path: Path, info: ValidationInfo) -> Path:
    if info.context and info.context.get("folder") and not path.is_file():
        raise refusal(f"names a file that does not exist: {path}")
    return path


def _without_login(value: str) -> str:
    """Refuse credentials in the address of a web server, or a password in any other."""
    scheme, _, rest = value.partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if at and (scheme != "rsync" or ":" in user):
        message = "holds a login, and everybody on the mirror's host may read its configuration"
        source = "the variable RSYNC_PASSWORD" if scheme == "rsync" else "the file that NETRC names"
        raise refusal(message, f"take it out; the sync has it from {source} in its environment")
    return value


def _store(value: str) -> str:
    if value == "/":
        raise refusal("must be a folder of its own, not /", "write /srv/mirror/NAME")
    if value.startswith("gs://"):
        bucket = value.removeprefix("gs://").partition("/")[0]
        if bucket and not 3 <= len(bucket) <= (222 if "." in bucket else 63):
            raise refusal(f"names the bucket {bucket}, and a bucket's name has 3 to 63 signs")
        if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/[^/\s]+)*", value):
            raise refusal("must be gs://bucket or gs://bucket/prefix, without a slash at the end")
        return value
    if "://" in value:
        raise refusal("must be an absolute folder or gs://bucket/prefix")
    return _absolute(value)


def _plain(value: object) -> object:
    """Give what a document holds as the types of JSON: its lists are tuples there."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _upstream(value: str) -> str:
    if value.startswith(("gs://", "/")):
        return _store(value)
    scheme, found, _ = value.partition("://")
    if not found or scheme not in ("https", "http", "rsync"):
        message = "must begin with https://, http:// or rsync://"
        raise refusal(message, "or be gs://bucket/prefix or an absolute folder of the host")
    if re.search(r"\s", value):
        raise refusal("holds a space or a line break, which no address has")
    if not _has_host(value):
        raise refusal(f"names no server behind {scheme}://", f"write {scheme}://HOST/PATH")
    return _without_login(value)


def _has_host(address: str) -> bool:
    try:
        return bool(urlsplit(address).hostname)
    except ValueError:  # brackets that hold no address of IPv6
        return False


def _build_source(value: str) -> str:
    if value.startswith("gs://"):
        return _store(value)
    if not re.fullmatch(r"https?://[^\s/]+(/[^\s/]+)*", value):
        message = "must be gs://bucket/path or https://host/path, without a slash at the end"
        raise refusal(message, "or local_path for a folder of the host")
    return value


Port = Annotated[int, Field(ge=1, le=65535), Kind("port")]
Seconds = Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False), Kind("seconds")]
AbsolutePath = Annotated[str, AfterValidator(_absolute), Kind("absolute path")]
Mode = Annotated[str, BeforeValidator(_mode), Kind('octal mode in quotes, "0644"')]
InventoryPath = Annotated[
    Path,
    BeforeValidator(_from_inventory),
    WithJsonSchema({"type": "string", "minLength": 1}),
    Kind("path, relative to the inventory"),
]
InventoryFile = Annotated[InventoryPath, AfterValidator(_existing)]
AccountName = Annotated[
    str,
    AfterValidator(
        matching(
            r"[a-z_][a-z0-9_-]{0,30}\$?",
            "must be an account name: lower-case letters, digits, - and _, at most 32",
        )
    ),
    Kind("account name"),
]
AccountOrNumber = Annotated[
    str,
    BeforeValidator(lambda value: str(value) if type(value) is int else value),
    AfterValidator(
        matching(
            r"[a-z_][a-z0-9_-]{0,30}\$?|[0-9]{1,10}",
            "must be an account's name or number",
        )
    ),
    WithJsonSchema({"type": ["string", "integer"]}),
    Kind("account name or number"),
]
PackageName = Annotated[
    str,
    AfterValidator(
        matching(r"[a-z0-9][a-z0-9.+-]+(:[a-z0-9-]+)?", "must be the name of a Debian package")
    ),
    Kind("package name"),
]
UnitName = Annotated[
    str,
    AfterValidator(
        matching(
            r"[A-Za-z0-9:_.\\@-]+\.(service|socket|timer|path|target|mount|slice)",
            "must be the name of a systemd unit",
            "write the ending too: nginx.service",
        )
    ),
    Kind("systemd unit"),
]
SettingKey = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Za-z_][A-Za-z0-9_.-]*", "must be a key of letters, digits, _, . and -")
    ),
    Kind("key"),
]
SettingValue = Annotated[
    str,
    AfterValidator(matching(r"[^\n\r\0]*", "must be a single line")),
    Kind("single line"),
]
Upstream = Annotated[
    str,
    AfterValidator(_upstream),
    Kind("address of https, http, rsync or gs, or absolute folder"),
]
Sha256 = Annotated[
    str,
    AfterValidator(
        matching(
            r"[0-9a-f]{64}",
            "must be a sha256 in 64 lower-case hex digits",
            "sha256sum FILE prints it",
        )
    ),
    Kind("sha256"),
]
GitAddress = Annotated[
    str,
    AfterValidator(
        matching(
            r"(?:https?|ssh|git)://[^\s/]+/\S+|[\w.-]+@[\w.-]+:\S+|/\S*",
            "must be the address of a git repository",
            "write https://host/path",
        )
    ),
    Kind("address of a git repository"),
]
GitBranch = Annotated[
    str,
    AfterValidator(
        matching(
            r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./+-]*", "must name a branch, a tag or a commit"
        )
    ),
    Kind("branch, tag or commit"),
]
Store = Annotated[str, AfterValidator(_store), Kind("absolute folder or gs://bucket/prefix")]
BuildSource = Annotated[
    str, AfterValidator(_build_source), Kind("gs://bucket/path or http(s) address")
]
WebAddress = Annotated[
    str,
    AfterValidator(matching(r"https?://[^\s/]+(/\S*)?", "must begin with https:// or http://")),
    Kind("http(s) address"),
]
AnyJson = Annotated[JsonValue, BeforeValidator(_plain), Kind("anything that JSON has")]
PlainName = Annotated[
    str,
    AfterValidator(
        matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "must be of letters, digits, ., - and _")
    ),
    Kind("name"),
]


Command = Annotated[
    Annotated[str, Tag("text")] | Annotated[tuple[str, ...], Tag("words")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "words"),
    Kind("text, or list of words"),
]


class SecretRef(Section):
    """Say where a secret is found; the secret itself is never in the inventory."""

    env: str | None = Field(
        None,
        min_length=1,
        description="an environment variable of the controller",
        examples=["LAB_PASSWORD"],
    )
    file: InventoryPath | None = Field(
        None,
        description="a file on the controller; one line break at its end is dropped",
        examples=["secrets/dome-password"],
    )
    command: Command | None = Field(
        None,
        description="a command of the controller that prints the secret: text for a "
        "shell, or a list of words",
        examples=["pass show lab/dome"],
    )

    @model_validator(mode="after")
    def _one_source(self) -> SecretRef:
        given = [name for name in ("env", "file", "command") if getattr(self, name) is not None]
        if len(given) != 1:
            told = "none" if not given else " and ".join(given)
            raise refusal(f"must have exactly one of env, file and command, but has {told}")
        if self.command is not None and not self.command:
            raise refusal("has an empty command")
        return self

    def describe(self) -> str:
        """Name the source without its content: "env LAB_PASSWORD"."""
        if self.command is not None:
            words = self.command if isinstance(self.command, str) else " ".join(self.command)
            return f"command {words}"
        return f"env {self.env}" if self.env is not None else f"file {self.file}"


def _only_reference(value: object) -> object:
    if isinstance(value, Mapping | SecretRef):
        return value
    message = "must be a reference: a secret is never written into the inventory"
    raise refusal(message, "write {env: NAME}, {file: PATH} or {command: …}")


def _shape(value: Any) -> str:
    return "reference" if isinstance(value, Mapping | SecretRef) else "text"


Secret = Annotated[SecretRef, BeforeValidator(_only_reference), Kind("secret reference")]
Text = Annotated[
    Annotated[str, Tag("text")] | Annotated[SecretRef, Tag("reference")],
    Discriminator(_shape),
    Kind("text or secret reference"),
]
