"""Names of keys between Dome's own snake_case and the camelCase of its REST interface."""

from __future__ import annotations

import re

_SEAM = re.compile(r"([a-z0-9]?)_([a-z0-9])")
_HUMP = re.compile(r"([a-z0-9])([A-Z])")


def camelized(value: object) -> object:
    """Return the value with every key in it in camelCase, as answers have them."""
    if isinstance(value, dict):
        return {_camel(key): camelized(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [camelized(item) for item in value]
    return value


def underscored(value: object) -> object:
    """Return the value with every key in it in snake_case, as requests are read."""
    if isinstance(value, dict):
        return {_snake(key): underscored(item) for key, item in value.items()}
    if isinstance(value, list):
        return [underscored(item) for item in value]
    return value


def _camel(key: object) -> object:
    if not isinstance(key, str):
        return key
    return _SEAM.sub(lambda seam: seam[1] + seam[2].upper(), key)


def _snake(key: object) -> object:
    return _HUMP.sub(r"\1_\2", key).lower() if isinstance(key, str) else key
