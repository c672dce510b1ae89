"""Google Storage's own client: made from the files of credentials that people have, and worded.

Whatever the client raises becomes a sentence in `worded`.
"""

from __future__ import annotations

import configparser
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import urllib3
from google.api_core import exceptions as answers
from google.auth import exceptions as auth
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage import exceptions as broken

from crosprov.mirror.google_reach import HINT, unreached
from crosprov.mirror.model import Fault
from crosprov.mirror.stores import Unavailable

# The client would ask for each bucket's location in a thread of its own, for traces.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

_SCOPE = "https://www.googleapis.com/auth/devstorage.full_control"
_TOKENS = "https://oauth2.googleapis.com/token"
_KINDS = "a service account's JSON key, an authorized user's JSON, or a boto file"


def make_client(credentials: Path | None, endpoint: str | None) -> Any:
    """Make a google.cloud.storage.Client; anonymous without credentials. Raises Fault.

    The environment's STORAGE_EMULATOR_HOST counts where no endpoint is given.
    """
    who: Any = AnonymousCredentials() if credentials is None else _read(credentials)  # type: ignore[no-untyped-call]
    options = {"api_endpoint": endpoint} if endpoint else None
    return storage.Client(project="<none>", credentials=who, client_options=options)


@contextmanager
def worded(verb: str, what: str, *, anonymous: bool) -> Iterator[None]:
    """Turn what the client raises into Fault, and Unavailable where another try may help."""
    begun = f"could not {verb} {what}"
    try:
        yield
    except (answers.Unauthorized, answers.Forbidden) as error:
        raise _forbidden(begun, int(error.code or 403), anonymous) from None
    except auth.InvalidOperation:  # the anonymous have nothing that could be renewed
        raise _forbidden(begun, 401, anonymous) from None
    except answers.NotFound:
        raise Fault(f"{begun}: Google Storage answers 404, there is no such thing") from None
    except answers.RetryError as error:
        raise _given_up(begun, error) from None
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise _unavailable(begun, error, "Google Storage was silent for too long") from None
    except answers.GoogleAPICallError as error:
        raise _answered(begun, error) from None
    except auth.TransportError:
        raise Unavailable(f"{begun}: the server of Google's tokens does not answer") from None
    except auth.GoogleAuthError as error:
        hint = "renew the credentials"
        raise Fault(
            f"{begun}: Google refuses the credentials ({short(error)})", hint=hint
        ) from None
    except (broken.InvalidResponse, broken.DataCorruption) as error:
        raise Unavailable(f"{begun}: the answer is broken ({short(error)})") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise _unavailable(begun, error, f"the connection broke ({type(error).__name__})") from None
    except (ValueError, KeyError, TypeError) as error:
        raise Fault(f"{begun}: what answers is not Google Storage ({short(error)})") from None


def short(error: BaseException) -> str:
    """Give the first words of an error; addresses and what follows them are left out."""
    message = str(getattr(error, "message", "") or error)
    words = message.split("http", 1)[0].splitlines()
    return (words[0].strip(" :,(") if words else "")[:120] or type(error).__name__


def _given_up(begun: str, error: answers.RetryError) -> Unavailable:
    """Word the last of many failures."""
    last = error.cause
    if isinstance(last, answers.GoogleAPICallError) and last.code:
        return Unavailable(f"{begun}: Google Storage answers {int(last.code)} again and again")
    timeouts = requests.Timeout, urllib3.exceptions.TimeoutError
    is_broken = isinstance(last, (requests.ConnectionError, ConnectionError))
    if is_broken and not isinstance(last, timeouts):
        return _unavailable(begun, error, "the connection breaks again and again")
    return _unavailable(begun, error, "Google Storage was silent for too long")


def _unavailable(begun: str, error: BaseException, otherwise: str) -> Unavailable:
    reason = unreached(error)
    return Unavailable(f"{begun}: {reason or otherwise}", hint=HINT if reason else None)


def _forbidden(begun: str, status: int, anonymous: bool) -> Fault:
    if anonymous:
        hint = "it needs credentials, and none were given"
    elif status == 401:
        hint = "the credentials are not valid any more; renew them"
    else:
        hint = "the credentials lack a right there, or there is no such thing"
    return Fault(f"{begun}: Google Storage answers {status}", hint=hint)


def _answered(begun: str, error: answers.GoogleAPICallError) -> Fault:
    status = int(error.code or 0)
    sentence = f"{begun}: Google Storage answers {status} ({short(error)})"
    return (Unavailable if status in (408, 429) or status >= 500 else Fault)(sentence)


def _read(path: Path) -> Any:
    """Read a file of credentials; nothing of its content is in any sentence."""
    text = _text(path)
    return _from_json(path, text) if text.lstrip().startswith("{") else _from_boto(path, text)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _wrong(path, f"is not text; {_KINDS} is needed") from None


def _from_json(path: Path, text: str) -> Any:
    from google.oauth2 import service_account

    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise _wrong(path, "is not JSON") from None
    kind = content.get("type")
    if kind == "authorized_user":
        return _user(path, content, content.get("token_uri") or _TOKENS)
    if kind != "service_account":
        raise _wrong(path, f"has the type {str(kind)[:40]!r}; {_KINDS} is needed")
    make: Any = service_account.Credentials.from_service_account_info
    try:
        return make(content, scopes=[_SCOPE])
    except (ValueError, auth.GoogleAuthError):
        raise _wrong(path, "lacks a key, or holds one that cannot be read") from None


def _from_boto(path: Path, text: str) -> Any:
    boto = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        boto.read_string(text)
    except configparser.Error:
        raise _wrong(path, "is neither JSON nor a boto file") from None
    section = boto["Credentials"] if boto.has_section("Credentials") else {}
    if key := section.get("gs_service_key_file"):
        named = path.parent / Path(key).expanduser()
        return _from_json(named, _text(named))
    if token := section.get("gs_oauth2_refresh_token"):
        found = dict(boto["OAuth2"]) if boto.has_section("OAuth2") else {}
        uri = found.get("provider_token_uri") or _TOKENS
        return _user(path, found | {"refresh_token": token}, uri)
    raise _wrong(path, "has neither gs_service_key_file nor gs_oauth2_refresh_token")


def _user(path: Path, content: Mapping[str, Any], token_uri: str) -> Any:
    from google.oauth2.credentials import Credentials

    keys = ("client_id", "client_secret", "refresh_token")
    if missing := [key for key in keys if not isinstance(content.get(key), str)]:
        raise _wrong(path, f"has no {', '.join(missing)}")
    make: Any = Credentials
    return make(None, token_uri=token_uri, scopes=[_SCOPE], **{key: content[key] for key in keys})


def _wrong(path: Path, what: str) -> Fault:
    return Fault(f"the credentials cannot be used: the file {what}", where=str(path))
