"""Which names a lab, a host, a group and a mirror may have."""

from __future__ import annotations

import re
from ipaddress import ip_address

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_WORD = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def host_fault(name: str) -> str | None:
    """Return what is wrong with the name of a host (after RFC 1123, lower case), or None."""
    if _HOST.fullmatch(name) and len(name) <= 253:
        return None
    return "is not a host name: lower-case letters, digits and -, at most 63 between dots"


def word_fault(name: str) -> str | None:
    """Return what is wrong with the name of a lab, group or mirror, or None."""
    if _WORD.fullmatch(name):
        return None
    return "is not a name: lower-case letters, digits, ., - and _, at most 64"


def address_fault(text: str) -> str | None:
    """Return what is wrong with an address (IPv4, IPv6 or a name of DNS), or None."""
    try:
        ip_address(text)
    except ValueError:
        named = _HOST.fullmatch(text.lower().removesuffix(".")) and len(text) <= 253
        if named and not re.fullmatch(r"[0-9.]+", text):
            return None
        return "is neither an IP address nor a host name"
    return None
