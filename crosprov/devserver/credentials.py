"""Credentials for Google Storage, from the files that people have."""

from __future__ import annotations

import configparser
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosprov.devserver.failures import Refused

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
TOKEN_ADDRESS = "https://oauth2.googleapis.com/token"
KINDS = "a service account's JSON key, an authorized user's JSON, or a boto file"


def anonymous() -> Credentials:
    """Make the credentials of nobody: public buckets can be read with them."""
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials()  # type: ignore[no-any-return, no-untyped-call, unused-ignore]


def read_credentials(path: Path) -> Credentials:
    """Read a file of credentials; raises Refused(500) that says what is wrong with it.

    Nothing of the file's content is in the sentence.
    """
    text = _text(path)
    if text.lstrip().startswith("{"):
        return _from_json(path, text)
    return _from_boto(path, text)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _wrong(
            path, f"is not text; {KINDS} is needed (a .p12 key has to be made anew as JSON)"
        ) from None


def _from_json(path: Path, text: str) -> Credentials:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise _wrong(path, f"is not JSON ({_place(error)})") from None
    kind = content.get("type")
    if kind == "service_account":
        return _service_account(path, content)
    if kind == "authorized_user":
        _check_keys(path, content, ("client_id", "client_secret", "refresh_token"))
        return _user(content["client_id"], content["client_secret"], content["refresh_token"])
    raise _wrong(path, f"has the type {str(kind)[:40]!r}; {KINDS} is needed")


def _service_account(path: Path, content: dict[str, Any]) -> Credentials:
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import service_account

    _check_keys(path, content, ("client_email", "private_key", "token_uri"))
    make: Any = service_account.Credentials.from_service_account_info
    try:
        made: Credentials = make(content, scopes=[SCOPE])
    except (ValueError, GoogleAuthError):
        raise _wrong(path, "holds a private key that cannot be read; download it again") from None
    return made


def _from_boto(path: Path, text: str) -> Credentials:
    boto = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        boto.read_string(text)
    except configparser.Error as error:
        line = getattr(error, "lineno", None) or next(iter(getattr(error, "errors", [])), [0])[0]
        where = f" (line {line})" if line else ""
        raise _wrong(path, f"is neither JSON nor a boto file{where}") from None
    section = boto["Credentials"] if boto.has_section("Credentials") else {}
    key_file, token = section.get("gs_service_key_file"), section.get("gs_oauth2_refresh_token")
    if key_file:
        return _from_key_file(path, Path(key_file).expanduser())
    if token:
        found = boto["OAuth2"] if boto.has_section("OAuth2") else {}
        if not found.get("client_id") or not found.get("client_secret"):
            raise _wrong(
                path,
                "has a gs_oauth2_refresh_token, but no client_id and client_secret in [OAuth2]",
            )
        address = found.get("provider_token_uri") or TOKEN_ADDRESS
        return _user(found["client_id"], found["client_secret"], token, address)
    if section.get("gs_access_key_id"):
        raise _wrong(path, "has HMAC keys (gs_access_key_id) only; a service account is needed")
    raise _wrong(
        path, "has neither gs_service_key_file nor gs_oauth2_refresh_token in [Credentials]"
    )


def _from_key_file(boto: Path, key: Path) -> Credentials:
    key = boto.parent / key
    text = _text(key)
    if not text.lstrip().startswith("{"):
        raise _wrong(key, f"is named by {boto} and is not JSON")
    return _from_json(key, text)


def _user(
    client_id: str, client_secret: str, refresh_token: str, address: str = TOKEN_ADDRESS
) -> Credentials:
    from google.oauth2.credentials import Credentials as User

    make: Any = User
    made: Credentials = make(
        None,
        refresh_token=refresh_token,
        client_id=client_id,
        client_secret=client_secret,
        token_uri=address,
        scopes=[SCOPE],
    )
    return made


def _check_keys(path: Path, content: dict[str, Any], keys: tuple[str, ...]) -> None:
    missing = [key for key in keys if not isinstance(content.get(key), str) or not content[key]]
    if missing:
        raise _wrong(path, f"has no {', '.join(missing)}")


def _wrong(path: Path, what: str) -> Refused:
    return Refused(500, f"the credentials in {path} cannot be used: the file {what}")


def _place(error: ValueError) -> str:
    line = getattr(error, "lineno", None)
    return f"line {line}" if line else "nested too deeply"
