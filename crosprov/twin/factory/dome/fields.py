"""What the REST framework makes of a request's fields, and its words for what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from crosprov.twin.factory.dome.answers import Refusal, bad_field, refused
from crosprov.twin.factory.dome.camel import underscored
from crosprov.twin.factory.dome.uploads import Parts, parse_boundary
from crosprov.twin.factory.exchange import Request

PROJECT_NAME = re.compile(r"[-_0-9a-zA-Z]+")

_TRUE = ("t", "y", "yes", "true", "on", "1", 1, True)
_FALSE = ("f", "n", "no", "false", "off", "0", 0, False)

Check = Callable[[str, Any], Any]


def data_of(request: Request) -> Any:
    """Read a body of JSON or of a form, with keys in snake_case.

    Raises Refusal: 400 for JSON that cannot be read, 415 for any other kind of body.
    """
    kind = request.headers.get("Content-Type") or ""
    if boundary := parse_boundary(kind):
        form = {part.name: b"".join(part).decode() for part in Parts(request.body, boundary)}
        return underscored(form)
    raw = request.body.read()
    if not raw:
        return {}
    main = kind.partition(";")[0].strip().lower()
    if main == "application/x-www-form-urlencoded":
        fields = parse_qs(raw.decode(), keep_blank_values=True)
        return underscored({name: values[-1] for name, values in fields.items()})
    if main != "application/json":
        raise refused(415, f'Unsupported media type "{kind}" in request.')
    try:
        return underscored(json.loads(raw))
    except ValueError as error:
        raise refused(400, f"JSON parse error - {error}") from None


def checked(data: Any, checks: Mapping[str, Check], required: tuple[str, ...] = ()) -> Any:
    """Return the fields that are known, each as its check gives it; others are dropped.

    Raises Refusal with the sentences for all fields that are wrong.
    """
    if not isinstance(data, dict):
        kind = type(data).__name__
        words = f"Invalid data. Expected a dictionary, but got {kind}."
        raise bad_field("non_field_errors", words)
    wrong: dict[str, object] = {}
    right = {}
    for name, check in checks.items():
        if name not in data:
            if name in required:
                wrong[name] = ["This field is required."]
            continue
        try:
            right[name] = check(name, data[name])
        except Refusal as refusal:
            wrong |= refusal.body if isinstance(refusal.body, dict) else {}
    if wrong:
        raise Refusal(400, wrong)
    return right


def boolean(name: str, value: Any) -> bool:
    _present(name, value)
    simple = value.lower() if isinstance(value, str) else value
    if isinstance(simple, str | int) and simple in _TRUE:
        return True
    if isinstance(simple, str | int) and simple in _FALSE:
        return False
    raise bad_field(name, "Must be a valid boolean.")


def integer(name: str, value: Any) -> int:
    _present(name, value)
    text = str(value)
    if isinstance(value, bool | float) and value != int(value):
        text = ""
    if not re.fullmatch(r"-?\d+(\.0*)?", text):
        raise bad_field(name, "A valid integer is required.")
    return int(text.partition(".")[0])


def optional_integer(name: str, value: Any) -> int | None:
    if value is None:
        return None
    return integer(name, value)


def text(name: str, value: Any) -> str:
    found = blank_text(name, value)
    if not found:
        raise bad_field(name, "This field may not be blank.")
    return found


def blank_text(name: str, value: Any) -> str:
    _present(name, value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise bad_field(name, "Not a valid string.")
    return str(value).strip()


def optional_text(name: str, value: Any) -> str | None:
    return None if value is None else text(name, value)


def project_name(name: str, value: Any) -> str:
    _present(name, value)
    if not PROJECT_NAME.fullmatch(str(value)):
        raise bad_field(name, "Invalid project name")
    return str(value)


def mapping(name: str, value: Any) -> dict[str, Any]:
    _present(name, value)
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise bad_field(name, f'Expected a dictionary of items but got type "{kind}".')
    return value


def _present(name: str, value: Any) -> None:
    if value is None:
        raise bad_field(name, "This field may not be null.")
