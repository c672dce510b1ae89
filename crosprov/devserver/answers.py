"""Write the Omaha answers that update_engine reads, protocols 2.0 and 3.0.

Protocol 2.0 is answered as the dev servers until 2019 did it. The answer of 3.0 has what those
and the ones since 2020 (nebraska) write, so that old and new clients find their attributes.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree as ET

from crosprov.devserver.omaha import App, Protocol, Request
from crosprov.devserver.payloads import Payload

_NAMESPACE = "http://www.google.com/update2/response"


@dataclass(frozen=True, slots=True)
class Offer:
    """Offer a client a payload; `codebase` is its folder's URL with a slash at the end."""

    payload: Payload
    codebase: str
    critical: bool = False


def compose(request: Request, offers: Callable[[App], Offer | None], now: datetime) -> bytes:
    """Write the answer to a request.

    `offers` is asked once for each app that checks for updates; None means `noupdate`. `now`
    is the local time of the server.
    """
    if request.protocol == "2.0":
        root = ET.Element("gupdate", xmlns=_NAMESPACE, protocol="2.0")
    else:
        root = ET.Element("response", protocol="3.0", server="crosprov")
    root.append(_daystart(request.protocol, now))
    for app in request.apps:
        root.append(_app(request.protocol, app, offers(app) if app.checks else None))
    text = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


def _daystart(protocol: Protocol, now: datetime) -> ET.Element:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    element = ET.Element("daystart", elapsed_seconds=str(int((now - midnight).total_seconds())))
    if protocol == "3.0":
        # update_engine counts the days of pings from here: 1 January 2007 (Omaha protocol 3).
        epoch = datetime(2007, 1, 1, tzinfo=now.tzinfo)
        element.set("elapsed_days", str((midnight - epoch).days))
    return element


def _app(protocol: Protocol, app: App, offer: Offer | None) -> ET.Element:
    element = ET.Element("app", appid=app.appid, status="ok")
    if app.ping:
        ET.SubElement(element, "ping", status="ok")
    for _ in app.events:
        ET.SubElement(element, "event", status="ok")
    if not app.checks:
        return element
    if offer is None:
        ET.SubElement(element, "updatecheck", status="noupdate")
    elif protocol == "2.0":
        ET.SubElement(element, "updatecheck", _check_2(offer))
    else:
        element.append(_check_3(offer))
    return element


def _check_2(offer: Offer) -> dict[str, str]:
    payload = offer.payload
    return {
        "status": "ok",
        "ChromeOSVersion": payload.version,
        "codebase": offer.codebase + payload.quoted_name,
        "hash": _base64(payload.digests.sha1),
        "sha256": _base64(payload.digests.sha256),
        "needsadmin": "false",
        "size": str(payload.digests.size),
        **_common(offer),
    }


def _check_3(offer: Offer) -> ET.Element:
    payload = offer.payload
    check = ET.Element("updatecheck", status="ok")
    urls = ET.SubElement(check, "urls")
    ET.SubElement(urls, "url", codebase=offer.codebase)
    manifest = ET.SubElement(check, "manifest", version=payload.version)
    actions = ET.SubElement(manifest, "actions")
    ET.SubElement(actions, "action", event="update", run=payload.name)
    after = {
        "event": "postinstall",
        "ChromeOSVersion": payload.version,
        "ChromeVersion": "1.0.0.0",
        "DisablePayloadBackoff": "true",
        "MaxDaysToScatter": "14",
        "needsadmin": "false",
        "sha256": _base64(payload.digests.sha256),
        **_common(offer),
    }
    ET.SubElement(actions, "action", after)
    packages = ET.SubElement(manifest, "packages")
    package = {
        "fp": f"1.{payload.digests.sha256}",
        "hash": _base64(payload.digests.sha1),
        "hash_sha256": payload.digests.sha256,
        "name": payload.quoted_name,
        "required": "true",
        "size": str(payload.digests.size),
    }
    ET.SubElement(packages, "package", package)
    return check


def _common(offer: Offer) -> dict[str, str]:
    """Return the attributes that both protocols have, in different places."""
    payload = offer.payload
    attributes = {"IsDeltaPayload": "true" if payload.is_delta else "false"}
    if payload.digests.metadata_size:
        attributes["MetadataSize"] = str(payload.digests.metadata_size)
    if payload.metadata_signature:
        attributes["MetadataSignatureRsa"] = payload.metadata_signature
    if payload.public_key:
        attributes["PublicKeyRsa"] = payload.public_key
    if offer.critical:
        attributes["deadline"] = "now"
    return attributes


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode("ascii")
