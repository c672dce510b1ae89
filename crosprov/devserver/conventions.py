"""How a client writes its parameters, and where it says it found us.

The conventions are those of the ChromiumOS dev server, whose clients this one has to understand:
parameters stand in the query or in the form of a POST, and unknown ones are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from crosprov.devserver.failures import Refused

LONGEST_PATH = 2048  # characters
LONGEST_QUERY = 16 * 1024  # bytes
LONGEST_HEAD = 16 * 1024
LONGEST_FORM = 64 * 1024
LONGEST_BODY = 1024 * 1024  # an update request of a device has a few thousand
MOST_PARAMETERS = 100

FORM = "application/x-www-form-urlencoded"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253})(:[0-9]{1,5})?")
_NO = frozenset(("false", "f", "no", "n", "off", "0", "none"))
_YES = frozenset(("true", "t", "yes", "y"))


def parameters_of(*encoded: bytes) -> dict[str, str]:
    """Read queries and forms. Raises Refused for what is not text or is said twice differently."""
    found: dict[str, str] = {}
    for part in encoded:
        for name, value in _pairs(part):
            if found.setdefault(name, value) != value:
                raise Refused(400, f"{_shown(name)} is given twice, with different values")
    return found


def _pairs(part: bytes) -> list[tuple[str, str]]:
    try:
        text = part.decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS
        )
    except UnicodeError:
        raise Refused(400, "the parameters are not UTF-8 with percent signs") from None
    except ValueError:
        raise Refused(400, f"there are more than {MOST_PARAMETERS} parameters") from None
    for name, value in pairs:
        if not (name + value).isprintable():
            raise Refused(400, f"{_shown(name)} holds a control character")
    return pairs


def _shown(name: str) -> str:
    printable = "".join(letter for letter in name if letter.isprintable())
    return f"the parameter {printable[:40]}"


def wants(text: str) -> bool:
    """Tell whether `async` is asked for.

    The ChromiumOS dev server of 2018 took every text for yes, "False" included. Here a word
    that says no means it; every other text is a yes.
    """
    return bool(text.strip()) and text.strip().lower() not in _NO


def agrees(text: str) -> bool:
    """Tell whether `clean` is asked for: true, t, yes or y, and nothing else."""
    return text.strip().lower() in _YES


def exactly(name: str, text: str) -> bool:
    """Read a parameter that must be True or False, with that spelling."""
    if text not in ("", "True", "False"):
        raise Refused(400, f"{name} is {text[:40]!r}, and must be True or False")
    return text == "True"


def words_of(text: str) -> tuple[str, ...]:
    """Split a list with commas; blanks around its words do not count, nor do repeated words."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def base_url(headers: Mapping[str, str], server: tuple[str, int | None] | None) -> str:
    """Give http://host:port as the client wrote it.

    A proxy in front says X-Forwarded-Host; of several, the first is the client's. Raises Refused
    for a name that is none of a host.
    """
    forwarded = headers.get("x-forwarded-host", "").partition(",")[0].strip()
    host = forwarded or headers.get("host", "").strip()
    if not host:
        name, port = server or ("localhost", None)
        host = f"[{name}]" if ":" in name else name
        host = f"{host}:{port}" if port else host
    if not _HOST.fullmatch(host):
        which = "X-Forwarded-Host" if forwarded else "Host"
        raise Refused(400, f"the header {which} names no host")
    return f"http://{host}"


def shown_in_log(parameters: Mapping[str, str], known: Iterable[str]) -> str:
    """Write parameters for the log: known ones with their values, of others nothing but a count.

    A URL may carry a password or a signature; those stay out.
    """
    names = [name for name in parameters if name in set(known)]
    words = [f"{name}={_without_secrets(parameters[name])[:200]}" for name in names]
    others = len(parameters) - len(names)
    if others:
        words.append(f"({others} unknown parameter{'s' if others > 1 else ''})")
    return " ".join(words)


def _without_secrets(value: str) -> str:
    try:
        parts = urlsplit(value)
    except ValueError:
        return "?"
    if not parts.scheme:
        return value
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))
