"""The file of a mirror's configuration: JSON, with a function for each key of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast, get_args

from crosprov.mirror.config import Config, Limits, TreeSource, plain
from crosprov.mirror.model import Fault
from crosprov.mirror.presets import Kind, Visibility


def read_config(path: Path) -> Config:
    """Read the configuration of a mirror; raises Fault, which names the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise Fault(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError:
        raise Fault("the file is not UTF-8 text", where=str(path)) from None
    return parse_config(text, str(path))


def parse_config(text: str, where: str) -> Config:
    """Make a configuration of JSON; raises Fault."""
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise Fault(f"this is no JSON: {error.msg}", where=f"{where}:{error.lineno}") from None
    try:
        return cast(Config, _read_file(given, ""))
    except Fault as fault:
        raise Fault(fault.sentence, hint=fault.hint, where=where) from None


def written(config: Config) -> str:
    """Write a configuration as JSON, without what is left at its default."""
    bare = plain(asdict(Config(name="", store="")))
    told = plain(asdict(replace(config, host=None, reader=None)))
    told["trees"] = [{key: one for key, one in tree.items() if one != []} for tree in told["trees"]]
    kept = {key: value for key, value in told.items() if bare.get(key) != value}
    return json.dumps(kept, indent=2, ensure_ascii=False) + "\n"


Read = Callable[[Any, str], Any]
"""Give the value of a key, made of what JSON had; raises Fault."""


def _of(kind: type, what: str) -> Read:
    def read(value: Any, key: str) -> Any:
        if not isinstance(value, kind) or value == "":
            raise Fault(f"{key} must be {what}")
        return value

    return read


_text = _of(str, "text")
_flag = _of(bool, "true or false")


def _path(value: Any, key: str) -> Path:
    if not isinstance(value, str) or not value.startswith("/"):
        raise Fault(f"{key} must be an absolute path")
    return Path(value)


def _store(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value.startswith(("/", "gs://")):
        raise Fault(f"{key} must be an absolute folder or gs://bucket/prefix")
    return value


def _number(least: int) -> Read:
    def read(value: Any, key: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Fault(f"{key} must be a whole number, {least} at least")
        return value

    return read


def _choice(choices: Sequence[str]) -> Read:
    def read(value: Any, key: str) -> str:
        if value not in choices:
            raise Fault(f"{key} must be {' or '.join(choices)}")
        return str(value)

    return read


def _list(item: Read) -> Read:
    def read(value: Any, key: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Fault(f"{key} must be a list")
        return tuple(item(one, f"{key}[{number}]") for number, one in enumerate(value))

    return read


def _table(make: Callable[..., Any], keys: Mapping[str, Read], needed: Sequence[str] = ()) -> Read:
    def read(value: Any, key: str) -> Any:
        if not isinstance(value, dict):
            raise Fault(f"{key or 'the file'} must be a mapping")
        before = f"{key}." if key else ""
        for name in value:
            if name not in keys:
                near = get_close_matches(name, keys, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(keys)}"
                raise Fault(f"{before}{name} is no key of a mirror's configuration", hint=hint)
        for name in needed:
            if name not in value:
                raise Fault(f"{before}{name} is missing")
        return make(**{name: keys[name](one, before + name) for name, one in value.items()})

    return read


def _tree(**given: Any) -> TreeSource:
    if ("path" in given) == ("git" in given):
        raise Fault("a tree must have exactly one of path and git")
    if "branch" in given and "git" not in given:
        raise Fault("a tree in a folder has no branch")
    return TreeSource(**given)


_LIMITS = {"bandwidth": _number(0), "parallel": _number(1), "per_upstream": _number(1)}
_TREE = {"path": _path, "git": _text, "branch": _text, "public": _flag, "masters": _list(_path)}
_read_file = _table(
    Config,
    {
        "name": _text,
        "store": _store,
        "kind": _choice(get_args(Kind)),
        "visibility": _choice(get_args(Visibility)),
        "upstreams": _list(_text),
        "trees": _list(_table(_tree, _TREE)),
        "source_uris": _flag,
        "hashed": _flag,
        "limits": _table(Limits, _LIMITS),
        "credentials": _path,
        "endpoint": _text,
        "reading": _text,
        "filled_by_us": _flag,
        "state": _path,
    },
    ("name", "store"),
)
