"""What SARIF 2.1.0 asks of the parts that are written, after the OASIS specification."""

from __future__ import annotations

from typing import Any


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_STRING = {"type": "string"}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_MESSAGE = _object(["text"], text={"type": "string", "minLength": 1})
_LOCATION = _object(
    ["physicalLocation"],
    physicalLocation=_object(
        ["artifactLocation"],
        artifactLocation=_object(
            ["uri"], uri={"type": "string", "pattern": r"^[!#-;=?-\[\]_a-z~%]+$"}, uriBaseId=_STRING
        ),
        region=_object(["startLine"], startLine={"type": "integer", "minimum": 1}),
    ),
)
_LOCATIONS = {"type": "array", "items": _LOCATION}
_RULE = _object(
    ["id"],
    id=_STRING,
    shortDescription=_MESSAGE,
    fullDescription=_MESSAGE,
    defaultConfiguration=_object([], level=_LEVEL),
)
_RESULT = _object(
    ["message"],
    ruleId=_STRING,
    ruleIndex={"type": "integer", "minimum": -1},
    level=_LEVEL,
    message=_MESSAGE,
    locations=_LOCATIONS,
    partialFingerprints={"type": "object", "additionalProperties": _STRING},
    suppressions={
        "type": "array",
        "uniqueItems": True,
        "items": _object(["kind"], kind={"enum": ["inSource", "external"]}, justification=_STRING),
    },
)
_NOTIFICATION = _object(["message"], level=_LEVEL, message=_MESSAGE, locations=_LOCATIONS)
_INVOCATION = _object(
    ["executionSuccessful"],
    executionSuccessful={"type": "boolean"},
    toolExecutionNotifications={"type": "array", "items": _NOTIFICATION},
)
_DRIVER = _object(
    ["name"],
    name=_STRING,
    rules={"type": "array", "uniqueItems": True, "items": _RULE},
)
_RUN = _object(
    ["tool"],
    tool=_object(["driver"], driver=_DRIVER),
    invocations={"type": "array", "items": _INVOCATION},
    originalUriBaseIds={
        "type": "object",
        "additionalProperties": _object([], uri=_STRING, description=_MESSAGE),
    },
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    results={"type": "array", "items": _RESULT},
)
SARIF = _object(
    ["version", "runs"],
    **{"$schema": _STRING},
    version={"const": "2.1.0"},
    runs={"type": "array", "items": _RUN},
)
