"""What the server refuses, in the two forms that Google's service writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from xml.sax.saxutils import escape

# Codes of the XML form for statuses whose reason does not name one.
_CODES = {
    400: "InvalidArgument",
    401: "AccessDenied",
    403: "AccessDenied",
    404: "NoSuchKey",
    405: "MethodNotAllowed",
    409: "Conflict",
    412: "PreconditionFailed",
    416: "InvalidRange",
    429: "SlowDown",
    500: "InternalError",
    503: "ServiceUnavailable",
}
_REASONS = {
    400: "invalid",
    401: "required",
    403: "forbidden",
    404: "notFound",
    405: "methodNotAllowed",
    409: "conflict",
    412: "conditionNotMet",
    416: "requestedRangeNotSatisfiable",
    429: "rateLimitExceeded",
    500: "internalError",
    501: "notImplemented",
    503: "backendError",
}


class ApiError(Exception):
    """Refuse a request with a status, the API's word for the reason, and a sentence."""

    def __init__(
        self,
        status: int,
        message: str,
        reason: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason or _REASONS.get(status, "unknown")
        self.headers = dict(headers or {})

    def json_body(self) -> bytes:
        """Return the JSON API's form: code, message and a list with one error."""
        detail: dict[str, str] = {
            "message": self.message,
            "domain": "global",
            "reason": self.reason,
        }
        if self.status == 412:
            detail |= {"locationType": "header", "location": "If-Match"}
        elif self.status == 401:
            detail |= {"locationType": "header", "location": "Authorization"}
        error = {"code": self.status, "message": self.message, "errors": [detail]}
        return json.dumps({"error": error}, indent=2).encode()

    def xml_body(self) -> bytes:
        """Return the XML API's form: a code, and the sentence."""
        code = _CODES.get(self.status, "InternalError")
        if self.status == 404 and "bucket" in self.message:
            code = "NoSuchBucket"
        return (
            "<?xml version='1.0' encoding='UTF-8'?>"
            f"<Error><Code>{code}</Code><Message>{escape(self.message)}</Message></Error>"
        ).encode()


def precondition_failed() -> ApiError:
    """Return the refusal of a request whose precondition does not hold."""
    return ApiError(412, "At least one of the pre-conditions you specified did not hold.")


def no_such_bucket() -> ApiError:
    """Return the refusal of a request for a bucket that is not there."""
    return ApiError(404, "The specified bucket does not exist.")


def no_such_object(bucket: str, name: str) -> ApiError:
    """Return the refusal of a request for an object that is not there."""
    return ApiError(404, f"No such object: {bucket}/{name}")
