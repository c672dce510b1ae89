"""Ways to web servers: what the environment says of them, looked up once and kept apart."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crosprov.mirror.routes import Routes, Unaskable, Waits
from tests.support.certificates import secured
from tests.support.serving import serving

_WAITS = Waits(connect=5.0, silence=5.0)
_VARIABLES = (
    *("http_proxy", "https_proxy", "all_proxy", "no_proxy", "netrc"),
    *("requests_ca_bundle", "curl_ca_bundle", "ssl_cert_file", "ssl_cert_dir"),
)


class _Seen(ThreadingHTTPServer):
    """Answer everything, and remember what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str | None]] = []

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Seen

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Proxy-Authorization")))
        self.send_error(403, "not for you")

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Seen]:
    with serving(_Seen()) as server:
        yield server


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave no proxy and no passwords of this machine in the way."""
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def _get(*urls: str) -> list[int]:
    routes = Routes(_WAITS)
    try:
        statuses = []
        for url in urls:
            with routes.asked(url, {}) as answer:
                statuses.append(answer.status)
        return statuses
    finally:
        routes.close()


def _basic(words: str) -> str:
    return f"Basic {base64.b64encode(words.encode()).decode()}"


PATHS = [
    # the address after its server, what the server is asked for
    ("", "/"),
    ("/a/b.tar?x=1", "/a/b.tar?x=1"),
    ("/a b", "/a%20b"),
    ("/a%20b%2Fc", "/a%20b%2Fc"),
    ("/ä", "/%C3%A4"),
]


@pytest.mark.parametrize(("address", "asked"), PATHS)
def test_an_address_is_asked_for_as_it_is_written(server: _Seen, address: str, asked: str) -> None:
    assert _get(f"http://{server.place}{address}") == [200]
    assert server.asked == [(asked, None)]


def test_a_redirection_is_left_to_the_caller(server: _Seen) -> None:
    assert _get(f"http://{server.place}/moved") == [302]
    assert [path for path, _ in server.asked] == ["/moved"]


def test_a_password_of_the_address_goes_to_its_server_only(server: _Seen) -> None:
    _get(f"http://me:pass%20word@{server.place}/a", f"http://{server.place}/b")
    assert server.asked == [("/a", _basic("me:pass word")), ("/b", None)]


def test_netrc_is_read(server: _Seen, tmp_path: Path) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    _get(f"http://{server.place}/a", f"http://{server.place}/b")
    assert server.asked == [("/a", _basic("me:secret")), ("/b", _basic("me:secret"))]


def test_a_proxy_is_asked_for_whole_addresses(
    server: _Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{server.place}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    _get("http://mirror.example.com/a?b", f"http://{server.place}/direct")
    assert [path for path, _ in server.asked] == ["http://mirror.example.com/a?b", "/direct"]


@pytest.mark.parametrize("near", ["127.0.0.1", "127.0.0.0/8", "example.com, 127.0.0.1", "*"])
def test_what_is_near_is_asked_without_a_proxy(
    server: _Seen, monkeypatch: pytest.MonkeyPatch, near: str
) -> None:
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    monkeypatch.setenv("no_proxy", near)
    assert _get(f"http://{server.place}/a") == [200]


def test_a_proxy_gets_its_own_password_and_no_other(
    server: _Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"http://me:secret@{server.place}")
    with pytest.raises(OSError, match="403"):
        _get("https://you:private@mirror.example.com/a")
    assert server.asked == [("mirror.example.com:443", _basic("me:secret"))]


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "socks5://127.0.0.1:1", "http://:1"])
def test_a_proxy_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(Unaskable):
        _get("http://mirror.example.com/a")


def test_the_environment_says_who_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = _Seen()
    certificate = secured(server, tmp_path)
    with serving(server):
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            _get(f"https://{server.place}/a")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert _get(f"https://{server.place}/b") == [200]
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "none.pem"))
        with pytest.raises(Unaskable, match=r"none\.pem"):
            _get(f"https://{server.place}/c")
    assert [path for path, _ in server.asked] == ["/b"]


NO_ADDRESSES = [
    "http:///a", "http://*.example.com/a", "ftp://example.com/a", "http://[::1/a",
    "http://example.com:http/a", f"http://{'a' * 70}ä.example.com/a",
]  # fmt: skip


@pytest.mark.parametrize("address", NO_ADDRESSES)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(Unaskable):
        _get(address)
