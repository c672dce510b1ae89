"""Requests of both protocols are read, and whatever else comes is refused with a sentence."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.devserver.failures import Refused
from crosprov.devserver.omaha import MAX_BYTES, App, Event, parse
from tests.devserver.omaha_documents import (
    APPID,
    CHECK_2,
    CHECK_3,
    EVENT_2,
    EVENTS_3,
    PARTS_3,
    document,
)

_SYSTEM = App(
    APPID, "15662.0.0", "testimage-channel", "eve", delta_okay=True, ping=True, checks=True
)


@pytest.mark.parametrize(
    ("template", "protocol", "apps"),
    [
        (CHECK_3, "3.0", (_SYSTEM,)),
        (
            CHECK_2,
            "2.0",
            (App(APPID, "15662.0.0", "dev-channel", "eve", True, ping=True, checks=True),),
        ),
        (
            EVENTS_3,
            "3.0",
            (
                App(
                    APPID,
                    "1.2.3",
                    board="eve",
                    events=(Event("3", "0", "10"), Event("14", "1", "")),
                ),
            ),
        ),
        (EVENT_2, "2.0", (App(APPID, "1.2.3", events=(Event("13", "1", ""),)),)),
        (
            PARTS_3,
            "3.0",
            (
                App(f"{APPID}_pita", "0.0.0.0", board="eve", checks=True),
                App(APPID, "1.0.0", board="eve", ping=True, checks=True),
            ),
        ),
    ],
    ids=["check 3.0", "check 2.0", "events 3.0", "event 2.0", "parts"],
)
def test_requests_are_read(template: str, protocol: str, apps: tuple[App, ...]) -> None:
    request = parse(document(template))
    assert (request.protocol, request.apps) == (protocol, apps)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_the_encoding_is_what_the_document_says(encoding: str) -> None:
    name = encoding.removesuffix("-sig")
    text = document(CHECK_3, board="ev\u00e9").decode().replace("UTF-8", name)
    assert parse(text.encode(encoding)).apps[0].board == "ev\u00e9"


def test_a_version_prefix_is_read() -> None:
    text = document(CHECK_3).replace(b"<updatecheck>", b'<updatecheck targetversionprefix="156">')
    assert parse(text).apps[0].target_prefix == "156"


_BOMB = b"""<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>"""
_REQUEST = b'<request protocol="3.0">%s</request>'


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        (b"", 400, "has no body"),
        (b" \r\n", 400, "has no body"),
        (b"hello", 400, "no XML: syntax error in line 1"),
        (b"<request", 400, "no XML: unclosed token"),
        (b'<request protocol="3.0"><app></request>', 400, "no XML: mismatched tag"),
        (b"\xff\xfe\x00", 400, "no XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><request/>', 400, "encoding that is not"),
        (b'<?xml version="1.0" encoding="nonsense"?><request/>', 400, "encoding that is not"),
        (b"<html/>", 400, "this is no Omaha request"),
        (b'<request protocol="4.0"/>', 400, "this is no Omaha request"),
        (b'<request protocol="2.0"/>', 400, "this is no Omaha request"),
        (b'<gupdate protocol="3.0"/>', 400, "this is no Omaha request"),
        (_REQUEST % b"", 400, "names no app"),
        (_REQUEST % b"<x><app appid='1'/></x>", 400, "names no app"),
        (_REQUEST % b"<app/>", 400, "without an appid"),
        (_REQUEST % (b"<app appid='1'/>" * 101), 400, "more than 100 apps"),
        (_BOMB + _REQUEST % b"<app appid='&b;'/>", 400, "document type"),
        (b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>', 400, "document type"),
        (_REQUEST % b"<app appid='&b;'/>", 400, "no XML: undefined entity"),
        (b"<a>" * 50_000, 400, "nested too deeply"),
        (_REQUEST % (b"<a/>" * 50_000), 400, "too many elements"),
        (b" " * MAX_BYTES + b"<r/>", 413, "larger than"),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, status: int, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(body)
    assert refused.value.status == status
    assert sentence in refused.value.sentence
    assert "\n" not in refused.value.sentence


_NAMES = st.sampled_from(["request", "o:gupdate", "app", "ping", "event", "updatecheck", "x"])
_ATTRIBUTES = st.dictionaries(
    st.sampled_from(["protocol", "appid", "version", "board", "delta_okay"]),
    st.sampled_from(["", "2.0", "3.0", "{1}", "&lt;", "true", "&#0;", "\n"]),
)


def _element(name: str, attributes: dict[str, str], inside: list[str]) -> str:
    words = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f"<{name}{words}>{''.join(inside)}</{name}>"


_TREES = st.recursive(
    st.builds(_element, _NAMES, _ATTRIBUTES, st.just([])),
    lambda inner: st.builds(_element, _NAMES, _ATTRIBUTES, st.lists(inner, max_size=4)),
    max_leaves=12,
)


@given(st.one_of(st.binary(max_size=300), _TREES.map(str.encode)))
def test_any_bytes_are_a_request_or_refused(body: bytes) -> None:
    try:
        request = parse(body)
    except Refused as refused:
        assert 400 <= refused.status < 500
        return
    root = ET.fromstring(body)
    assert len(request.apps) == len([child for child in root if child.tag.endswith("app")])
