"""Which web servers builds may be fetched from."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from crosprov.devserver.failures import Refused
from crosprov.devserver.websources import WebSources
from tests.devserver.asking import application, ask

PREFIXES = ("https://builds.example.com/lab", "http://192.0.2.1:8000", "http://[2001:db8::1]/x/")
BUILD = "eve-release/R120-15662.0.0"


@pytest.mark.parametrize(
    "address",
    [
        "https://builds.example.com/lab",
        "https://builds.example.com/lab/",
        "https://BUILDS.example.com:443/lab/eve/R1-1.0.0",
        "https://builds.example.com/l%61b/a%20b",
        "https://builds.example.com/lab/file?signature=1#part",
        "http://192.0.2.1:8000",
        "http://192.0.2.1:8000/anything",
        "http://[2001:db8::1]:80/x/y",
    ],
)
def test_what_lies_below_a_prefix_is_allowed(address: str) -> None:
    WebSources(PREFIXES).check(address)


REFUSED = [
    "http://builds.example.com/lab/x",
    "https://builds.example.com/laboratory",
    "https://builds.example.com/",
    "https://builds.example.com:8443/lab/x",
    "https://builds.example.com.evil.example/lab/x",
    "https://evil.example/https://builds.example.com/lab",
    "https://builds.example.com/lab/../secret",
    "https://builds.example.com/lab/%2e%2e/secret",
    "https://builds.example.com/lab/..%2f..%2fsecret",
    "https://builds.example.com/lab/..%5csecret",
    "https://builds.example.com/lab/./x",
    "https://builds.example.com@evil.example/lab",
    "https://someone@builds.example.com/lab/x",
    "https://evil.example\\@builds.example.com/lab/x",
    "https://builds.example.com\\.evil.example/lab/x",
    "https://builds.example.com%2eevil.example/lab/x",
    "https://builds.example.com\t/lab/x",
    "https://builds.example.com/lab/\nx",
    "https:/builds.example.com/lab",
    "http://192.0.2.1:80800/x",
    "http://127.0.0.1:8080/",
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]/x/",
    "http://0xc0000201:8000/",
    "file:///etc/passwd",
    "gopher://192.0.2.1:8000/",
    "",
]


@pytest.mark.parametrize("address", REFUSED)
def test_everything_else_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="--web_source") as refused:
        WebSources(PREFIXES).check(address)
    assert refused.value.status == 403


def test_without_a_prefix_nothing_is_allowed_and_a_wrong_one_is_told() -> None:
    with pytest.raises(Refused):
        WebSources().check("https://builds.example.com/lab")
    for prefix in (
        "https://",
        "builds.example.com",
        "https://x.example/?q",
        "https://x.example/..",
    ):
        with pytest.raises(Refused, match="is no folder of a web server"):
            WebSources([prefix])


TRICKS = st.sampled_from(
    ["builds.example.com", "evil.example", "/lab", "/", "\\", "@", ":", "443", "..", "%2e", "%2f",
     "?", "#", "http://", "https://", "//", "[", "]", "x", " ", "%", "\u3002", "\u00ad"]
)  # fmt: skip


tricks = st.lists(TRICKS, max_size=2).map("".join)


@given(tricks, tricks, tricks)
def test_what_is_allowed_is_asked_of_no_other_host(before: str, between: str, after: str) -> None:
    address = f"https://{before}builds.example.com{between}/lab{after}"
    try:
        WebSources(PREFIXES[:1]).check(address)
    except Refused:
        return
    sent = requests.Request("GET", address).prepare()
    assert sent.url is not None
    assert sent.url.startswith(
        ("https://builds.example.com/lab", "https://builds.example.com:443/")
    )
    assert sent.path_url.startswith("/lab") and ".." not in sent.path_url


@pytest.mark.parametrize("call", ["stage", "locate_file"])
@pytest.mark.parametrize("more", ["", "&async=True"])
def test_a_client_cannot_make_the_server_ask_what_it_likes(
    tmp_path: Path, call: str, more: str
) -> None:
    query = f"?archive_url={quote(f'http://127.0.0.1:9/{BUILD}')}&files=x&file_name=x"
    with application(tmp_path) as app:
        reply = ask(app, f"/{call}{query}{more}")
        assert reply.status == 403
        assert reply.sentence.startswith(f"http://127.0.0.1:9/{BUILD}, which is not among the web")
        assert ask(app, f"/is_staged{query}").body == b"False"
    assert not (tmp_path / "eve-release").exists()
    with application(tmp_path, web_source=("http://127.0.0.1:9",)) as app:
        assert ask(app, f"/stage{query}").status == 502  # it is asked, and not there
    with application(tmp_path, archive="http://127.0.0.1:9/eve-release") as app:
        assert ask(app, f"/stage{query}").status == 502
