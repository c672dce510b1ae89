"""The shape of Umpire's configuration, as JSON schema, and a check of values against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_STRING: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_COUNT: Schema = {"type": "integer"}


def _object(properties: Mapping[str, Schema], **more: object) -> Schema:
    return {"type": "object", "properties": dict(properties), **more}


def _plugin(argument: str) -> Schema:
    return _object({"enable": _FLAG, "args": _object({argument: _COUNT})})


_NOTE: Schema = {"type": "object", "properties": {}, "description": "Shown in Dome only."}
_INSTALOG: Mapping[str, Schema] = {
    "data_truncate": _object(
        {"WARNING! Enable data_truncate may lose data!": _NOTE, "enable": _FLAG}
    ),
    "input_http": _object({"log_level_threshold": _STRING}),
    "archive": _plugin("interval"),
    "forward": _plugin("batch_size"),
    "customized_output": _plugin("batch_size"),
}
_PEER = _object({"ip": _STRING, "port": _STRING})
_PROXY = _object({"proxy_addr": _STRING, "remoteip": _STRING}, required=["proxy_addr", "remoteip"])
_OWN: Mapping[str, Mapping[str, Schema]] = {
    "umpire_http": {"reverse_proxies": {"type": "array", "items": _PROXY}},
    "rsync": {},
    "shop_floor": {"service_url": _STRING},
    "instalog": _INSTALOG,
    "dkps": {},
    "multicast": {
        "mgroup": _STRING,
        "server_ip": _STRING,
        "required_components": _object(
            dict.fromkeys(("test_image", "release_image", "toolkit"), _FLAG)
        ),
    },
    "umpire_sync": {
        "synchronize_time": _STRING,
        "primary_information": _PEER,
        "secondary_information": {
            "type": "array",
            "items": {**_PEER, "required": ["ip", "port"]},
        },
    },
    "dkps_proxy": {"server_ip": _STRING, "server_port": _STRING},
    "umpire_timezone": {"timezone": {"type": "integer", "minimum": -12, "maximum": 12}},
}

SERVICES: Schema = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "properties": {name: _object({"active": _FLAG, **own}) for name, own in _OWN.items()},
    "additionalProperties": False,
}
_BUNDLE = _object(
    {"id": _STRING, "note": _STRING, "payloads": _STRING, "require_user_action": _object({})},
    required=["id", "note", "payloads"],
    additionalProperties=False,
)
CONFIG = _object(
    {
        "services": SERVICES,
        "bundles": {"type": "array", "items": _BUNDLE},
        "active_bundle_id": _STRING,
        "multicast": _STRING,
    },
    required=["services", "bundles", "active_bundle_id"],
    additionalProperties=False,
)

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
}


def faults_of(value: Any, schema: Schema, where: str = "config") -> Iterator[str]:
    """Yield a sentence for each thing in a value that its schema does not allow."""
    kind: str = schema["type"]
    is_right = isinstance(value, _TYPES[kind])
    if not is_right or (kind == "integer" and isinstance(value, bool)):
        yield f"{where}: {value!r} is not of type {kind!r}"
        return
    if kind == "object":
        yield from _object_faults(value, schema, where)
    elif kind == "array":
        for index, item in enumerate(value):
            yield from faults_of(item, schema["items"], f"{where}[{index}]")
    elif kind == "integer":
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{where}: {value} is out of range"


def _object_faults(value: Mapping[str, Any], schema: Schema, where: str) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}: {name!r} is a required property"
    for name, item in value.items():
        if name in schema["properties"]:
            yield from faults_of(item, schema["properties"][name], f"{where}.{name}")
        elif schema.get("additionalProperties") is False:
            yield f"{where}: additional properties are not allowed ({name!r} was unexpected)"
