"""Which payload a client is offered, and how the answer says so."""

from __future__ import annotations

import base64
import hashlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosprov.devserver.failures import Refused
from crosprov.devserver.layout import Layout
from crosprov.devserver.options import Options
from crosprov.devserver.updates import Updates
from crosprov.twin.payload import APPID, Build, metadata, payload, write_build
from tests.devserver.omaha_documents import CHECK_2, CHECK_3, EVENT_2, EVENTS_3, PARTS_3, document

OLD = Build("eve", "15662.0.0", 120, size=2000)
NEW = Build("eve", "15663.0.0", 121, size=2000)
DELTA = replace(NEW, source="15662.0.0")
PLACE = f"http://dev1:8080/static/{NEW.label}/"


class Stager:
    """A stager that remembers which builds were held."""

    def __init__(self) -> None:
        self.held: list[str] = []

    @contextmanager
    def in_use(self, build: str) -> Iterator[None]:
        self.held.append(build)
        yield


def _updates(static: Path, options: Options | None = None) -> Updates:
    def translate(path: str, board: str) -> str:
        if path != "local/eve/latest":
            raise Refused(404, f"no build {path} of {board}")
        return NEW.label

    return Updates(Layout(static), Stager(), options or Options(), translate=translate)


def _offered(updates: Updates, body: bytes | None = None, *, label: str | None = None) -> str:
    """Return the URL of what is offered, empty for noupdate."""
    body = document(CHECK_3) if body is None else body
    xml = updates.answer(body, label=label, base_url="http://dev1:8080", client="192.0.2.1")
    check = ET.fromstring(xml).find("./app/updatecheck")
    assert check is not None
    if check.get("status") == "noupdate":
        return ""
    url, package = check.find("./urls/url"), check.find(".//package")
    assert url is not None and package is not None
    return f"{url.get('codebase')}{package.get('name')}"


@pytest.fixture
def static(tmp_path: Path) -> Path:
    """A static folder with two builds of eve and one of another board."""
    for build in (OLD, NEW, Build("eve-arc", "15999.0.0", 122, size=10)):
        write_build(tmp_path / build.label, build)
    return tmp_path


def test_protocol_3_is_answered_with_all_attributes(static: Path) -> None:
    content, length = payload(NEW)
    updates = _updates(static, Options(critical_update=True))
    body = updates.answer(
        document(CHECK_3), label=NEW.label, base_url="http://dev1:8080", client="c"
    )
    assert body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = ET.fromstring(body)
    assert (root.tag, root.get("protocol")) == ("response", "3.0")
    day = root.find("daystart")
    assert day is not None and 0 <= int(day.get("elapsed_seconds", "")) < 86_400 + 3600
    assert int(day.get("elapsed_days", "")) > 6_000
    app = root.find("app")
    assert app is not None and app.attrib == {"appid": APPID, "status": "ok"}
    ping, manifest = app.find("ping"), app.find("updatecheck/manifest")
    assert ping is not None and ping.attrib == {"status": "ok"}
    assert manifest is not None and manifest.attrib == {"version": "15663.0.0"}
    update, after = manifest.findall("./actions/action")
    assert update.attrib == {"event": "update", "run": NEW.payload_name}
    package = manifest.find("./packages/package")
    assert package is not None
    told = dict(package.attrib)
    digest = told["hash_sha256"]
    assert told == {
        "fp": f"1.{digest}",
        "hash": _base64("sha1", content),
        "hash_sha256": _hex("sha256", content),
        "name": NEW.payload_name,
        "required": "true",
        "size": str(len(content)),
    }
    assert after.attrib == {
        "event": "postinstall",
        "ChromeOSVersion": "15663.0.0",
        "ChromeVersion": "1.0.0.0",
        "DisablePayloadBackoff": "true",
        "IsDeltaPayload": "false",
        "MaxDaysToScatter": "14",
        "MetadataSize": str(length),
        "deadline": "now",
        "needsadmin": "false",
        "sha256": _base64("sha256", content),
    }


def test_protocol_2_is_answered_with_all_attributes(static: Path) -> None:
    content, length = payload(NEW)
    xml = _updates(static).answer(
        document(CHECK_2), label=NEW.label, base_url="http://dev1:8080", client="c"
    )
    name = "{http://www.google.com/update2/response}"
    root = ET.fromstring(xml)
    assert (root.tag, root.attrib) == (f"{name}gupdate", {"protocol": "2.0"})
    day, ping = root.find(f"{name}daystart"), root.find(f"{name}app/{name}ping")
    assert day is not None and set(day.attrib) == {"elapsed_seconds"}
    assert ping is not None and ping.attrib == {"status": "ok"}
    check = root.find(f"{name}app/{name}updatecheck")
    assert check is not None and check.attrib == {
        "status": "ok",
        "ChromeOSVersion": "15663.0.0",
        "codebase": f"{PLACE}{NEW.payload_name}",
        "hash": _base64("sha1", content),
        "sha256": _base64("sha256", content),
        "size": str(len(content)),
        "needsadmin": "false",
        "IsDeltaPayload": "false",
        "MetadataSize": str(length),
    }


@pytest.mark.parametrize(
    ("template", "statuses"),
    [
        (EVENTS_3, [["event ok", "event ok"]]),
        (EVENT_2, [["event ok"]]),
        (PARTS_3, [["updatecheck noupdate"], ["ping ok", "updatecheck ok"]]),
    ],
)
def test_every_app_gets_what_it_asked_for(
    static: Path, template: str, statuses: list[list[str]]
) -> None:
    xml = _updates(static).answer(document(template), label=None, base_url="http://d", client="c")
    found = [
        [f"{child.tag.rpartition('}')[2]} {child.get('status')}" for child in app]
        for app in ET.fromstring(xml)
        if app.tag.endswith("app")
    ]
    assert found == statuses


@pytest.mark.parametrize(
    ("label", "request_", "offered"),
    [
        (NEW.label, {}, NEW),
        (f"/{NEW.label}/", {}, NEW),
        (OLD.label, {"version": "15663.0.0"}, OLD),  # a pinned build may be older
        (NEW.label, {"version": "15663.0.0"}, None),
        (NEW.label, {"version": "ForcedUpdate"}, NEW),
        (NEW.label, {"version": "0.0.0.0"}, NEW),
        (NEW.label, {"board": "kevin"}, NEW),
        (NEW.label, {"board": ""}, NEW),
        ("eve-release", {}, NEW),
        ("eve-release/R120", {"version": "1.0.0"}, OLD),
        ("eve-release/R121-15663", {}, NEW),
        ("eve-release/R12", {}, None),
        ("eve", {}, None),
        ("eve-release/R121-15663.0.0-b1", {}, None),
        ("eve-release/R99-1.0.0", {}, None),
        ("forced_payload", {}, None),
        (".", {}, None),
        ("xbuddy/local/eve/latest", {}, NEW),
        (None, {}, NEW),
        (None, {"version": "15662.0.0"}, NEW),
        (None, {"version": "15663.0.0"}, None),
        (None, {"version": "15700.0.0"}, None),  # older ones are for those who name them
        (None, {"version": "ForcedUpdate"}, NEW),
        (None, {"board": "eve-signed-mp-v4keys"}, NEW),
        (None, {"board": "EVE"}, NEW),
        (None, {"board": "kevin"}, None),
        (None, {"board": ""}, None),
        (None, {"board": "../eve"}, None),
    ],
)
def test_the_label_or_the_board_chooses(
    static: Path, label: str | None, request_: dict[str, str], offered: Build | None
) -> None:
    url = _offered(_updates(static), document(CHECK_3, **request_), label=label)  # type: ignore[arg-type]
    wanted = f"http://dev1:8080/static/{offered.label}/{offered.payload_name}" if offered else ""
    assert url == wanted


@pytest.mark.parametrize(
    "label", ["..", "../etc", "eve-release/../..", "a/\0", "x" * 5000, "/" * 9 + "../x", "xbuddy/x"]
)
def test_labels_that_lead_elsewhere_are_refused(static: Path, label: str) -> None:
    with pytest.raises(Refused) as refused:
        _offered(_updates(static), label=label)
    assert 400 <= refused.value.status < 500


def test_links_out_of_the_static_folder_are_not_offered(
    static: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    write_build(outside, replace(NEW, version="15999.0.0"))
    (static / "eve-release/R121-15999.0.0").symlink_to(outside)
    assert _offered(_updates(static)) == f"{PLACE}{NEW.payload_name}"
    with pytest.raises(Refused, match="no such file"):
        _offered(_updates(static), label="eve-release/R121-15999.0.0")


def test_newer_is_by_number_and_builds_without_a_payload_do_not_count(static: Path) -> None:
    (static / "eve-release/R122-15999.0.0").mkdir()
    (static / "eve-release/R122-15999.0.0/stateful.tgz").write_bytes(b"")
    small = Build("eve", "9999.0.0", 99, size=10)
    write_build(static / small.label, small)
    assert _offered(_updates(static)) == f"{PLACE}{NEW.payload_name}"


@pytest.mark.parametrize(
    ("version", "delta", "name"),
    [
        ("15662.0.0", True, DELTA.payload_name),
        ("15662.0.0", False, NEW.payload_name),
        ("15661.0.0", True, NEW.payload_name),
        ("ForcedUpdate", True, NEW.payload_name),
    ],
)
def test_a_delta_is_for_those_who_run_its_source(
    static: Path, version: str, delta: bool, name: str
) -> None:
    write_build(static / NEW.label, DELTA)
    request = document(CHECK_3, version=version, delta=delta)
    assert _offered(_updates(static), request) == f"{PLACE}{name}"


def test_deltas_of_old_dev_servers_are_offered_from_their_folders(static: Path) -> None:
    folder = static / "eve-release/R65-10323.0.0"
    for name in ("update.gz", "au/R65-10323.0.0_nton/update.gz"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload(OLD)[0])
    base = "http://dev1:8080/static/eve-release/R65-10323.0.0/"
    updates = _updates(static)
    for version, name in (("1.0.0", "update.gz"), ("10323.0.0", "au/R65-10323.0.0_nton/update.gz")):
        request = document(CHECK_3, version=version)
        assert _offered(updates, request, label="eve-release/R65-10323.0.0") == base + name


def test_metadata_that_contradict_are_noupdate_with_a_sentence(
    static: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_build(static / NEW.label, replace(NEW, wrong_metadata=True))
    assert _offered(_updates(static), label=NEW.label) == ""
    assert _offered(_updates(static)) == ""  # the newest decides, not an older one
    assert caplog.text.count("does not fit its payload: sha256_hex is") == 2


def test_a_payload_is_for_its_app_only(static: Path) -> None:
    write_build(static / NEW.label, NEW)
    other = document(CHECK_3).replace(APPID.encode(), b"{11111111-89AB-CDEF-0123-456789ABCDEF}")
    canary = document(CHECK_3).replace(APPID.encode(), b"{90f229ce-83e2-4faf-8479-e368a34938b1}")
    assert _offered(_updates(static), other) == ""
    assert _offered(_updates(static), document(CHECK_3).replace(b"ABCDEF", b"abcdef")) != ""
    assert _offered(_updates(static), canary) != ""


def test_a_version_prefix_is_kept_to(static: Path) -> None:
    for prefix, is_offered in ((b"15663.", True), (b"15662.", False)):
        check = b'<updatecheck targetversionprefix="%s">' % prefix
        request = document(CHECK_3).replace(b"<updatecheck>", check)
        assert bool(_offered(_updates(static), request)) is is_offered


def test_the_log_cannot_be_forged(static: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    request = document(CHECK_3, version="1&#10;forged", board="x&#8238;y")
    _offered(_updates(static), request, label="a\nforged")
    (line,) = caplog.messages
    assert line.isprintable()


def test_a_build_is_held_while_it_is_looked_at(static: Path) -> None:
    stager = Stager()
    updates = Updates(Layout(static), stager, Options())
    _offered(updates, label=NEW.label)
    assert stager.held == [NEW.label]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        (Options(proxy_port=8082), f"http://dev1:8082/static/{NEW.label}/"),
        (Options(urlbase="https://cdn.example.com/x"), f"https://cdn.example.com/x/{NEW.label}/"),
        (
            Options(urlbase="http://cdn.example.com", proxy_port=1),
            f"http://cdn.example.com/{NEW.label}/",
        ),
    ],
)
def test_urls_follow_the_options(static: Path, options: Options, url: str) -> None:
    assert _offered(_updates(static, options)) == url + NEW.payload_name


def test_a_limit_of_updates_is_kept(static: Path) -> None:
    updates = _updates(static, Options(max_updates=2))
    noupdate = document(CHECK_3, version=NEW.version)
    assert _offered(updates, noupdate) == ""  # does not count
    assert [bool(_offered(updates)) for _ in range(4)] == [True, True, False, False]


def test_a_board_of_the_options_is_for_clients_that_name_none(static: Path) -> None:
    updates = _updates(static, Options(board="eve"))
    assert _offered(updates, document(CHECK_3, board="")) == f"{PLACE}{NEW.payload_name}"
    assert _offered(updates, document(CHECK_3, board="kevin")) == ""


def test_a_forced_payload_is_for_everybody(
    static: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = write_build(tmp_path_factory.mktemp("images"), OLD)
    updates = _updates(static, Options(payload=path))
    for _ in range(2):  # as after a restart
        updates.prepare()
        url = _offered(updates, document(CHECK_3, version="1.0.0"), label=NEW.label)
        assert url == "http://dev1:8080/static/forced_payload/update.gz"
    assert (static / "forced_payload/update.gz").read_bytes() == path.read_bytes()
    assert (static / "forced_payload/stateful.tgz").is_file()
    path.with_name(f"{path.name}.json").unlink()
    updates.prepare()
    assert not (static / "forced_payload/update.gz.json").exists()
    assert _offered(updates, document(CHECK_3, version="15662.0.0")) != ""  # its version is unknown


def test_a_cached_payload_is_for_everybody(static: Path) -> None:
    updates = _updates(static, Options(use_cached=True))
    assert _offered(updates) == ""
    (static / "update.gz").write_bytes(payload(NEW)[0])
    assert _offered(updates, label="nothing") == "http://dev1:8080/static/update.gz"


_GENERATOR = """\
import pathlib, sys
argv = sys.argv[1:]
with open({calls!r}, "a") as file:
    file.write(" ".join(argv[:1] + argv[2:3] + argv[4:5]) + "\\n")
if "bad" in argv[1]:
    print("working")
    sys.exit("this image is broken")
pathlib.Path(argv[3]).write_bytes(pathlib.Path(argv[1]).read_bytes())
"""


def _generator(folder: Path) -> str:
    script = folder / "generator.py"
    script.write_text(_GENERATOR.format(calls=str(folder / "calls")))
    return f"{sys.executable} {script}"


@pytest.mark.parametrize("pregenerate", [True, False])
def test_a_payload_of_an_image_is_made_once(static: Path, pregenerate: bool) -> None:
    image, source = static / "my image.bin", static / "source.bin"
    image.write_bytes(payload(NEW)[0])
    source.write_bytes(b"source")
    options = Options(
        image=image, pregenerate_update=pregenerate, payload_generator=_generator(static)
    )
    calls = static / "calls"
    for _ in range(2):
        updates = _updates(static, options)
        updates.prepare()
        assert calls.exists() is pregenerate or calls.read_text() == "--image --output\n"
        url = _offered(updates, label="whatever")
        assert url.startswith("http://dev1:8080/static/cache/") and url.endswith("/update.gz")
        assert calls.read_text() == "--image --output\n"
    made = static / url.removeprefix("http://dev1:8080/static/")
    assert made.read_bytes() == image.read_bytes()

    delta = _updates(static, replace(options, src_image=source))
    assert _offered(delta) not in ("", url)
    assert calls.read_text() == "--image --output\n--image --output --src_image\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(image=Path("none.bin")), "there is no image none.bin"),
        (
            Options(image=Path(__file__), payload_generator="no-such-program --fast"),
            "there is no payload generator no-such-program; name one with --payload_generator",
        ),
        (Options(image=Path(__file__), src_image=Path("none.bin")), "there is no image none.bin"),
        (Options(src_image=Path(__file__)), "--src_image needs --image"),
        (Options(pregenerate_update=True), "--pregenerate_update needs --image"),
        (Options(payload=Path("none.bin")), "--payload none.bin cannot be served: No such file"),
    ],
)
def test_what_cannot_be_served_is_said_at_the_start(
    tmp_path: Path, options: Options, sentence: str
) -> None:
    with pytest.raises(Refused) as refused:
        _updates(tmp_path, options).prepare()
    assert refused.value.status == 500
    assert sentence in refused.value.sentence
    assert "\n" not in refused.value.sentence


def test_a_generator_that_fails_is_quoted(tmp_path: Path) -> None:
    image = tmp_path / "bad.bin"
    image.write_bytes(b"image")
    options = Options(image=image, payload_generator=_generator(tmp_path), pregenerate_update=True)
    for _ in range(2):
        with pytest.raises(Refused, match="failed: this image is broken"):
            _updates(tmp_path, options).prepare()
    assert not list((tmp_path / "cache").glob("*/update.gz"))


def test_a_generator_s_command_must_be_one(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is no command"):
        _updates(tmp_path, Options(payload_generator="'unfinished"))


_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.builds(document, st.sampled_from([CHECK_2, CHECK_3]),
       version=_TEXT, board=_TEXT)), st.none() | _TEXT)  # fmt: skip
def test_any_request_gets_omaha_or_a_refusal(
    tmp_path: Path, body: bytes, label: str | None
) -> None:
    try:
        xml = _updates(tmp_path).answer(body, label=label, base_url="http://d:1", client="c")
    except Refused as refused:
        assert 400 <= refused.status < 500 and "\n" not in refused.sentence
        return
    assert ET.fromstring(xml).tag.rpartition("}")[2] in ("response", "gupdate")


def test_what_a_client_tells_is_escaped_in_the_answer(static: Path) -> None:
    nasty = "<&\"'>]]>\u00e9\u2028"
    escaped = nasty.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    request = document(CHECK_3).replace(APPID.encode(), escaped.encode())
    xml = _updates(static).answer(request, label=None, base_url="http://d", client="c")
    app = ET.fromstring(xml).find("app")
    assert app is not None and app.get("appid") == nasty


def _hex(name: str, content: bytes) -> str:
    return hashlib.new(name, content).hexdigest()


def _base64(name: str, content: bytes) -> str:
    return base64.b64encode(bytes.fromhex(_hex(name, content))).decode()


def test_the_stand_in_s_metadata_are_those_of_its_payload() -> None:
    content, length = payload(NEW)
    assert metadata(NEW, content, length).count(b"15663.0.0") == 1
    assert payload(NEW) == payload(NEW)
