"""The three kinds of sources: buckets with credentials, web servers, local folders."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from crosprov.devserver import bucket
from crosprov.devserver.credentials import read_credentials
from crosprov.devserver.failures import Refused
from crosprov.devserver.stores import Entry, Interrupted, Store, open_store
from crosprov.devserver.website import described
from crosprov.devserver.websources import WebSources
from tests.devserver.depot import BUCKET, BUILD, CONTENT, PAYLOAD, fill, stager_of, visible, wants
from tests.support.bucket import BucketServer, Rule, bucket_server
from tests.support.serving import serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "gs") as running:
        fill(running)
        yield running
        bucket.close_clients()


def read(store: Store, entry: Entry, offset: int = 0) -> bytes:
    """Read a file from an offset on."""
    pieces: list[bytes] = []
    store.read(entry, pieces.append, offset)
    return b"".join(pieces)


def found(store: Store, name: str) -> Entry:
    """Find a file that is there."""
    entry = store.find(name)
    assert entry is not None
    return entry


@pytest.fixture(params=["gs", "http", "folder"])
def store(request: pytest.FixtureRequest, server: BucketServer, tmp_path: Path) -> Store:
    """The same build in each kind of store."""
    if request.param == "gs":
        return open_store(f"gs://{BUCKET}/{BUILD}", endpoint=server.endpoint)
    if request.param == "http":
        return open_store(f"{server.endpoint}/{BUCKET}/{BUILD}", web=WebSources([server.endpoint]))
    for name, content in CONTENT.items():
        (tmp_path / name).write_bytes(content)
    return open_store(str(tmp_path))


def test_a_file_is_found_and_read_from_any_offset(store: Store) -> None:
    entry = found(store, PAYLOAD)
    assert entry.size == len(CONTENT[PAYLOAD])
    for offset in (0, 1, 5000, len(CONTENT[PAYLOAD]) - 1):
        assert read(store, entry, offset) == CONTENT[PAYLOAD][offset:]


def test_what_is_not_there_is_not_found(store: Store) -> None:
    assert store.find("nothing") is None


def test_a_listing_names_all_files_or_is_refused(store: Store) -> None:
    if store.source.startswith("http"):
        with pytest.raises(Refused, match="lists no files"):
            store.list()
    else:
        assert set(CONTENT) <= {entry.name for entry in store.list()}


def test_a_listing_of_many_pages_is_whole(server: BucketServer) -> None:
    for number in range(1100):
        server.put(BUCKET, f"many/R1-1.0.0/{number}", b"")
    store = open_store(f"gs://{BUCKET}/many/R1-1.0.0", endpoint=server.endpoint)
    assert len(store.list()) == 1100


def test_folders_below_a_build_are_not_its_files(server: BucketServer) -> None:
    server.put(BUCKET, f"{BUILD}/below/stateful.tgz", b"")
    store = open_store(f"gs://{BUCKET}/{BUILD}", endpoint=server.endpoint)
    assert {entry.name for entry in store.list()} == set(CONTENT)


def test_a_file_that_changed_is_not_read(store: Store, server: BucketServer) -> None:
    entry = found(store, PAYLOAD)
    server.put(BUCKET, f"{BUILD}/{PAYLOAD}", b"another")
    if store.source.startswith("/"):
        Path(store.source, PAYLOAD).write_bytes(b"another")
    with pytest.raises(Refused, match="was replaced or removed") as refused:
        read(store, entry)
    assert refused.value.status == 409


def test_a_link_in_a_local_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    store = open_store(str(tmp_path))
    assert store.list() == () and store.find("link") is None


def test_a_local_folder_that_is_missing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="cannot be listed: No such file"):
        open_store(str(tmp_path / "nothing")).list()
    with pytest.raises(Refused, match="cannot be listed: it is no folder"):
        open_store(str(tmp_path / "nothing")).find("x")


def test_nobody_listens(tmp_path: Path) -> None:
    with bucket_server(tmp_path / "gone") as gone:
        endpoint = gone.endpoint
    for source in (f"{endpoint}/a/b", f"gs://{BUCKET}/a/b"):
        with pytest.raises(Interrupted, match="cannot be reached") as interrupted:
            open_store(source, endpoint=endpoint, web=WebSources([endpoint])).find("x")
        assert endpoint in interrupted.value.sentence
    bucket.close_clients()


# --- staging from the web --------------------------------------------------------------------


def test_a_build_is_staged_from_a_web_server(server: BucketServer, tmp_path: Path) -> None:
    source = f"{server.endpoint}/{BUCKET}/{BUILD}"
    server.fail(Rule(path=f"{PAYLOAD}$", method="GET", cut=2000))
    with stager_of(tmp_path / "static", web=[server.endpoint]) as stager:
        stager.stage(wants("stateful", "test_image", source=source, files=(PAYLOAD,)))
        names = {name.rpartition("/")[2] for name in visible(tmp_path / "static")}
        assert names == {"stateful.tgz", "chromiumos_test_image.bin", PAYLOAD}
        with pytest.raises(Refused, match="lists no files: name them with files="):
            stager.stage(wants("full_payload", source=source))


WEB_FAULTS = [
    (Rule(method="GET", corrupt=9, times=None), 502, "is damaged"),
    (Rule(method="GET", cut=9, times=None), 502, "the connection broke; gave up"),
    (Rule(method="HEAD", status=403, times=None), 502, "answers 403; it may not be read"),
    (Rule(method="HEAD", status=404, times=None), 404, "holds no stateful"),
    (Rule(method="HEAD", status=500, times=None), 502, "answers 500; gave up"),
]


@pytest.mark.parametrize(("rule", "status", "words"), WEB_FAULTS)
def test_a_web_server_that_fails_is_a_sentence(
    server: BucketServer, tmp_path: Path, rule: Rule, status: int, words: str
) -> None:
    server.fail(rule)
    stagers = stager_of(tmp_path / "static", web=[server.endpoint])
    with stagers as stager, pytest.raises(Refused, match=words) as refused:
        stager.stage(wants("stateful", source=f"{server.endpoint}/{BUCKET}/{BUILD}"))
    assert refused.value.status == status
    assert visible(tmp_path / "static") == {}


class Odd(BaseHTTPRequestHandler):
    """A web server with bad manners, chosen by the first part of the path."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        manner = self.path.split("/")[1]
        if manner == "loop":
            self._reply(302, b"", Location=self.path)
        elif manner == "moved" and not self.path.endswith("?"):
            self._reply(301, b"", Location=self.path.replace("/moved/", "/plain/"))
        elif manner == "nohead" and self.command == "HEAD":
            self._reply(405, b"")
        elif manner == "nolength":
            self.close_connection = True
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"content" if self.command == "GET" else b"")
        else:
            self._reply(200, b"content", ETag='"1"')

    def _reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def odd() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Odd)) as running:
        yield f"http://127.0.0.1:{running.server_port}"


@pytest.mark.parametrize("manner", ["plain", "moved", "nohead"])
def test_web_servers_of_all_manners_are_read(odd: str, manner: str) -> None:
    store = open_store(f"{odd}/{manner}/eve/R1-1.0.0", web=WebSources([odd]))
    assert read(store, found(store, "x"), 3) == b"tent"  # it knows no ranges: the rest is skipped


def test_a_redirection_is_followed_to_allowed_places_only(odd: str) -> None:
    store = open_store(f"{odd}/moved/eve/R1-1.0.0", web=WebSources([f"{odd}/moved"]))
    with pytest.raises(Refused, match=f"{odd}/moved/.* leads to {odd}/plain/.*--web_source") as no:
        store.find("x")
    assert no.value.status == 403


def test_redirections_without_an_end_are_refused(odd: str) -> None:
    with pytest.raises(Refused, match="without an end"):
        open_store(f"{odd}/loop/eve/R1-1.0.0", web=WebSources([odd])).find("x")


def test_a_file_that_cannot_be_checked_is_refused(odd: str, tmp_path: Path) -> None:
    with stager_of(tmp_path / "static", web=[odd]) as stager:
        with pytest.raises(Refused, match="neither its size nor a digest"):
            stager.stage(wants("stateful", source=f"{odd}/nolength/eve/R1-1.0.0"))


MD5 = hashlib.md5(b"x").hexdigest()
IN_BASE64 = base64.b64encode(bytes.fromhex(MD5)).decode()


@pytest.mark.parametrize(
    ("headers", "crc32c", "md5"),
    [
        ({"x-goog-hash": "crc32c=abc==,md5=def=="}, "abc==", "def=="),
        ({"x-goog-hash": "crc32c=abc==, md5=def=="}, "abc==", "def=="),
        ({"Content-MD5": IN_BASE64}, None, IN_BASE64),
        ({"ETag": f'"{MD5}"', "x-goog-generation": "5"}, None, IN_BASE64),
        ({"ETag": f'"{MD5}"', "x-amz-request-id": "5"}, None, IN_BASE64),
        (
            {
                "ETag": f'"{MD5}"',
                "x-amz-request-id": "5",
                "x-amz-server-side-encryption": "aws:kms",
            },
            None,
            None,
        ),
        ({"ETag": f'"{MD5}-3"', "x-amz-request-id": "5"}, None, None),
        ({"ETag": f'"{MD5}"'}, None, None),
        ({}, None, None),
    ],
)
def test_digests_are_taken_where_they_are_such(
    headers: dict[str, str], crc32c: str | None, md5: str | None
) -> None:
    entry = described("x", headers)
    assert (entry.crc32c, entry.md5) == (crc32c, md5)


# --- what the bucket's own storage does ------------------------------------------------------


def test_an_object_that_is_stored_compressed_is_staged_plain(
    server: BucketServer, tmp_path: Path
) -> None:
    import gzip

    plain = b"text " * 1000
    server.put(BUCKET, f"{BUILD}/notes.txt", gzip.compress(plain), contentEncoding="gzip")
    with stager_of(tmp_path / "static", server.endpoint) as stager:
        stager.stage(wants(files=("notes.txt",)))
    assert visible(tmp_path / "static") == {f"{BUILD}/notes.txt": plain}


# --- credentials -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def private_key(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    subprocess.run([*command, "-out", path], check=True, capture_output=True)
    return path.read_text()


def _service(private_key: str) -> str:
    return json.dumps(
        {
            "type": "service_account",
            "client_email": "lab@example.com",
            "private_key": private_key,
            "token_uri": "https://oauth2.example.com/token",
        }
    )


USER = json.dumps(
    {"type": "authorized_user", "client_id": "i", "client_secret": "s", "refresh_token": "t"}
)
BOTO = "[Credentials]\ngs_oauth2_refresh_token = t\n[OAuth2]\nclient_id = i\nclient_secret = s\n"


@pytest.mark.parametrize("content", [USER, BOTO], ids=["user", "boto"])
def test_credentials_of_a_person_are_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "file").write_text(content)
    assert getattr(read_credentials(tmp_path / "file"), "refresh_token") == "t"  # noqa: B009


def test_credentials_of_a_service_are_read_also_through_a_boto_file(
    tmp_path: Path, private_key: str
) -> None:
    (tmp_path / "key.json").write_text(_service(private_key))
    (tmp_path / "boto").write_text("[Credentials]\ngs_service_key_file = key.json\n")
    for name in ("key.json", "boto"):
        made = read_credentials(tmp_path / name)
        assert getattr(made, "service_account_email") == "lab@example.com"  # noqa: B009


WRONG = [
    (None, "cannot be read: No such file"),
    (b"\x30\x82\xff\xfe", "is not text"),
    (b"{", "is not JSON"),
    (b'{"type": "external_account"}', "has the type 'external_account'"),
    (b'{"type": "service_account"}', "has no client_email, private_key, token_uri"),
    (_service("SECRET").encode(), "private key that cannot be read"),
    (b'{"type": "authorized_user", "client_id": "i"}', "has no client_secret, refresh_token"),
    (b"just text", "is neither JSON nor a boto file"),
    (b"[Boto]\n", "neither gs_service_key_file nor"),
    (b"[Credentials]\ngs_oauth2_refresh_token = SECRET\n", "no client_id and client_secret"),
    (b"[Credentials]\ngs_access_key_id = SECRET\n", "HMAC keys"),
    (b"[Credentials]\ngs_service_key_file = /nonexistent\n", "/nonexistent cannot be used"),
]


@pytest.mark.parametrize(("content", "words"), WRONG)
def test_credentials_that_are_wrong_are_told_without_their_secret(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    with pytest.raises(Refused, match=words) as refused:
        read_credentials(tmp_path / "file")
    assert "SECRET" not in refused.value.sentence


def test_a_private_bucket_is_read_with_a_token(
    server: BucketServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.oauth2.credentials import Credentials

    server.bucket("private", public=False)
    server.put("private", "eve/R1-1.0.0/stateful.tgz", b"content")
    server.put("private", "eve/R1-1.0.0/x", b"")
    token = server.token("a@example.com", roles={"private": "roles/storage.objectViewer"})
    made = Credentials(token)  # type: ignore[no-untyped-call, unused-ignore]
    monkeypatch.setattr(bucket, "read_credentials", lambda path: made)
    key = tmp_path / "key"
    key.touch()
    static = tmp_path / "static"
    with stager_of(static, server.endpoint, credentials=key) as stager:
        stager.stage(wants("stateful", source="gs://private/eve/R1-1.0.0"))
        server.bucket("other", public=False)
        with pytest.raises(Refused, match="its credentials lack storage.objects.get"):
            stager.stage(wants("stateful", source="gs://other/eve/R2-1.0.0"))
    assert visible(static) == {"eve/R1-1.0.0/stateful.tgz": b"content"}


def test_the_environment_names_another_storage(
    server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "STORAGE_EMULATOR_HOST", server.endpoint)
    store = open_store(f"gs://{BUCKET}/{BUILD}")
    assert found(store, PAYLOAD).size == len(CONTENT[PAYLOAD])
