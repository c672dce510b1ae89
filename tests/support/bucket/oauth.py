"""Tokens for service accounts: what Google's token endpoint does, but for the signature."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import parse_qs

from .call import Call, Reply

PATH = "/token"
_AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever token_uri the key names
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"  # RFC 7523
_LONGEST = 16 * 1024


def exchange(call: Call) -> Reply:
    """Answer a signed assertion with the token of the account that it names.

    The account is the first known one with this address. Who signed is not looked at; whom it is
    for, and until when, is.
    """
    form = parse_qs(call.body.whole(_LONGEST).decode("ascii", "replace"))
    claims = _claims(form.get("assertion", [""])[-1])
    token = call.tokens.of(str(claims.get("iss")))
    if form.get("grant_type") != [_GRANT] or token is None:
        return _refused("Invalid grant: account not found")
    if claims.get("aud") != _AUDIENCE or "devstorage" not in claims.get("scope", ""):
        return _refused("Invalid JWT: another audience or scope")
    if not claims.get("iat", 0) - 60 <= time.time() <= claims.get("exp", 0):
        return _refused("Invalid JWT: Token must be a short-lived token")
    return Reply.of_json({"access_token": token, "expires_in": 3599, "token_type": "Bearer"})


def _claims(assertion: str) -> dict[str, Any]:
    """Read the middle part of a JSON web token, {} for what is none."""
    _, _, rest = assertion.partition(".")
    payload, dot, signature = rest.partition(".")
    if not dot or not signature:
        return {}
    try:
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _refused(why: str) -> Reply:
    return Reply.of_json({"error": "invalid_grant", "error_description": why}, 400)
