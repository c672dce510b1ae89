"""The calls of the dev server: what is asked, and what is answered."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette

from crosprov.devserver.rpc import RPCS
from tests.devserver.asking import (
    BUILD,
    PAYLOAD,
    Question,
    application,
    ask,
    ask_all,
    fill,
)
from tests.support.waiting import until

URL = f"gs://chromeos-image-archive/{BUILD}"
SUITES = "{'bvt': ['server/site_tests/login/control', 'server/gone/control'], 'empty': []}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = fill(tmp_path_factory.mktemp("devserver"))
    autotest = root / BUILD / "autotest"
    (autotest / "test_suites").mkdir()
    (autotest / "test_suites/suite_to_control_file_map").write_text(SUITES)
    (autotest / "server/site_tests/login").mkdir(parents=True)
    (autotest / "server/site_tests/login/control").write_text("NAME = 'login'\n")
    (autotest / "server/site_tests/login/control.slow").write_text("NAME = 'slow'\n")
    (autotest / "server/site_tests/login/login.py").touch()
    return root


@pytest.fixture(scope="module")
def app(root: Path) -> Iterator[Starlette]:
    with application(root) as made:
        yield made


@pytest.fixture
def source(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder below the static folder that a build can be staged from."""
    folder = root / "placed" / tmp_path_factory.mktemp("x").name / "R1-1.0.0"
    folder.mkdir(parents=True)
    (folder / "stateful.tgz").write_bytes(PAYLOAD)
    (folder / "blah.bin").write_bytes(b"blah")
    return folder


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/is_staged?artifacts=stateful", 400, "archive_url and local_path"),
        (f"/is_staged?archive_url={URL}&local_path=/x&files=a", 400, "archive_url and local_path"),
        ("/is_staged?archive_url=ftp://x/y&files=a", 400, "isn't from Google Storage"),
        ("/is_staged?archive_url=gs://bucket&files=a", 400, "names no build"),
        (f"/is_staged?archive_url={URL}", 400, "No artifacts specified"),
        (f"/is_staged?archive_url={URL}&artifacts=nonsense", 400, "nonsense"),
        (f"/is_staged?archive_url={URL}&artifacts=full_paylod", 400, "full_payload"),
        (f"/is_staged?archive_url={URL}&files=../x", 400, "not the plain name"),
        ("/is_staged?archive_url=gs://bucket/../../x&files=a", 400, "cannot be a build"),
        ("/is_staged?local_path=/etc&files=passwd", 400, "not below"),
        ("/is_staged?local_path=relative&files=a", 400, "not an absolute path"),
        (f"/stage?archive_url={URL}&files=a&delete_source=yes", 400, "must be True or False"),
        (f"/stage?archive_url={URL}&files=a&delete_source=True", 400, "local_path"),
        (f"/stage?archive_url={URL}&files=a&os_type=android", 400, "Android"),
        (f"/stage?archive_url={URL}&files=a&files=b", 400, "files is given twice"),
        ("/stage?archive_url=%00&files=a", 400, "control character"),
        ("/stage?archive_url=%ff&files=a", 400, "not UTF-8"),
        ("/stage?" + "a=1&" * 200, 400, "more than 100"),
        ("/stage?a=" + "x" * 20000, 414, "a query has at most"),
        ("/" + "x" * 7000, 414, "a path has at most"),
        ("/list_image_dir?archive_url=gs://bucket/up/static-not", 404, "no such file"),
        ("/latestbuild?milestone=R120", 400, "name a target"),
        ("/latestbuild?target=none", 404, "no target none"),
        ("/latestbuild?target=../..", 400, "cannot be a build"),
        ("/latestbuild?target=eve-release&milestone=R1", 404, "no build of milestone R1"),
        ("/controlfiles", 400, "name a build"),
        ("/controlfiles?build=none/R1-1.0.0", 404, "stage control_files"),
        ("/controlfiles?build=none/R1-1.0.0&suite_name=x", 404, "stage test_suites"),
        (f"/controlfiles?build={BUILD}&suite_name=x", 404, "no suite x"),
        ("/controlfiles?build=..&control_path=x", 400, "cannot be a build"),
        (f"/list_suite_controls?build={BUILD}", 400, "suite_name"),
        ("/locate_file?file_name=a/b", 400, "file_name"),
        ("/xbuddy/a/b/c/d/e", 400, "is not [local|remote]"),
        ("/xbuddy/local/eve/R1-1.0.0/test", 404, "on this dev server"),
        ("/xbuddy/remote/eve/R1-1.0.0/test", 502, "out of reach"),
        ("/xbuddy/local/eve?return_dir=true&relative_path=true", 400, "not for both"),
        ("/update", 405, "POST"),
        ("/update/some/label", 405, "POST"),
        ("/doc", 400, "doc/stage"),
        ("/doc/nothing", 404, "no such call"),
        ("/cros_au", 501, "omaha_url"),
        ("/nothing", 404, "no call nothing"),
    ],
)
def test_a_wrong_question_gets_a_sentence(
    app: Starlette, path: str, status: int, words: str
) -> None:
    reply = ask(app, path)
    assert reply.status == status, reply
    assert words in reply.sentence


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/latestbuild?target=eve-release", b"R120-15662.0.0"),
        ("/latestbuild?target=eve-release&milestone=R99", b"R99-9999.0.0"),
        ("/latestbuild/?target=eve-release&unknown=1", b"R120-15662.0.0"),
        (f"/is_staged?archive_url={URL}&artifacts=stateful", b"False"),
        (f"/controlfiles?build={BUILD}&suite_name=empty", b""),
        (f"/controlfiles?build={BUILD}&control_path=x", b"Unknown control path x"),
        (f"/controlfiles?build={BUILD}&control_path=../../../../secret", b"Unknown control path "),
        (f"/controlfiles?build={BUILD}&control_path=/server/site_tests/login/control", b"NAME = '"),
        ("/xbuddy_capacity", b"0"),
        ("/xbuddy_translate/local/eve/latest/stateful", f"{BUILD}/stateful.tgz".encode()),
        ("/xbuddy_translate/eve/R120-15662.0.0", f"{BUILD}/stateful.tgz".encode()),
        ("/xbuddy/eve?relative_path=true", BUILD.encode()),
        ("/xbuddy/eve?return_dir=t", f"http://dev.example.com:8080/static/{BUILD}".encode()),
        ("/xbuddy/eve?for_update=y", f"http://dev.example.com:8080/update/{BUILD}".encode()),
        (
            "/list_image_dir?archive_url=gs://bucket/none/R1-1.0.0",
            b"gs://bucket/none/R1-1.0.0 has not been staged on this devserver.",
        ),
    ],
)
def test_a_question_is_answered_in_text(app: Starlette, path: str, body: bytes) -> None:
    got, posted, head = ask_all(app, [path, _as_form(path), Question(path, "HEAD")])
    assert got.status == 200, got
    assert got.headers["content-type"] == "text/plain; charset=utf-8"
    assert got.body.startswith(body) and bool(got.body) == bool(body)
    assert posted.body == got.body
    changes = path.startswith("/xbuddy/")
    assert (head.status, head.body) == (405 if changes else 200, b"")


def _as_form(path: str) -> Question:
    place, _, query = path.partition("?")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return Question(place, "POST", query.encode(), headers)


def test_xbuddy_leads_to_the_file(app: Starlette) -> None:
    reply = ask(app, Question("/xbuddy/eve", headers={"x-forwarded-host": "front:8082, inner"}))
    assert reply.status == 302
    assert reply.headers["location"] == f"http://front:8082/static/{BUILD}/stateful.tgz"


@pytest.mark.parametrize("name", ["host", "x-forwarded-host"])
def test_a_host_that_is_none_is_refused(app: Starlette, name: str) -> None:
    reply = ask(app, Question("/xbuddy/eve", headers={name: "a/b<script>"}))
    assert reply.status == 400
    assert "names no host" in reply.sentence


def test_a_build_is_listed_without_links_that_lead_out(app: Starlette) -> None:
    text = ask(app, f"/list_image_dir?archive_url={URL}").body.decode()
    assert text.startswith("Listing contents of :")
    assert "Name: stateful.tgz " in text and f"Size: {len(PAYLOAD)} bytes." in text
    assert "update.gz" not in text


def test_control_files_are_listed_and_read(app: Starlette) -> None:
    every = ask(app, f"/controlfiles?build={BUILD}").body.decode().splitlines()
    names = ["server/site_tests/login/control", "server/site_tests/login/control.slow"]
    assert every == names
    reply = ask(app, f"/list_suite_controls?build={BUILD}&suite_name=bvt")
    assert reply.headers["content-type"] == "application/json"
    assert json.loads(reply.body) == {names[0]: "NAME = 'login'\n"}


def test_health_is_json_of_numbers(app: Starlette) -> None:
    reply = ask(app, "/check_health")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    report = json.loads(reply.body)
    assert report["free_disk"] > 0
    assert len(report) == 13
    assert all(isinstance(value, int | float) for value in report.values())


def test_the_front_page_leads_to_every_call(app: Starlette) -> None:
    page = ask(app, "/").body.decode()
    assert "Welcome to the Dev Server!" in page and BUILD in page
    for name in RPCS:
        assert f"href=doc/{name}>" in page
        doc = ask(app, f"/doc/{name}")
        assert (doc.status, doc.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert all(f"<code>{word}</code>" in doc.body.decode() for word in RPCS[name].parameters)


def test_latestbuild_without_parameters_explains_itself(app: Starlette) -> None:
    assert b"<h1>/latestbuild</h1>" in ask(app, "/latestbuild").body


def test_a_build_is_staged_and_served(app: Starlette, root: Path, source: Path) -> None:
    build = f"{source.parent.name}/{source.name}"
    query = f"local_path={source}&artifacts=stateful&files=blah.bin"
    assert ask(app, f"/is_staged?{query}").body == b"False"
    before = json.loads(ask(app, f"/stage_state?{query}").body)
    assert (before["staged"], before["missing"]) == ([], ["stateful", "blah.bin"])
    assert ask(app, Question(f"/stage?{query}", "HEAD")).status == 405
    assert ask(app, f"/stage?{query}").body == b"Success"
    assert ask(app, f"/is_staged?{query}").body == b"True"
    after = json.loads(ask(app, f"/stage_state?{query}").body)
    assert (after["staged"], after["missing"]) == (["stateful", "blah.bin"], [])
    assert after["done"] == after["total"] == len(PAYLOAD) + 4
    assert ask(app, f"/static/{build}/stateful.tgz").body == PAYLOAD
    assert ask(app, f"/static/{build}/.stateful").status == 404
    assert build in ask(app, "/xbuddy_list").body.decode()
    assert ask(app, f"/locate_file?{query}&file_name=blah.bin").body.decode() == f"{build}/blah.bin"


@pytest.mark.parametrize("word", ["True", "true", "1", "yes", "anything"])
def test_staging_in_the_background_answers_at_once(app: Starlette, source: Path, word: str) -> None:
    query = f"local_path={source}&files=blah.bin"
    assert ask(app, f"/stage?{query}&async={word}").body == b"Success"
    until(lambda: ask(app, f"/is_staged?{query}").body == b"True")
    assert json.loads(ask(app, f"/stage_state?{query}").body)["failure"] is None


def test_a_failure_is_told_by_is_staged(app: Starlette) -> None:
    query = f"archive_url={URL}-broken&files=x"
    staged = ask(app, f"/stage?{query}")
    assert staged.status >= 500 and "out of reach" in staged.sentence
    assert "out of reach" in ask(app, f"/is_staged?{query}").sentence
    assert "out of reach" in json.loads(ask(app, f"/stage_state?{query}").body)["failure"]


def test_an_update_request_is_answered_in_xml(app: Starlette) -> None:
    body = (
        b'<request protocol="3.0"><app appid="{A}" board="eve"><ping active="1"/></app></request>'
    )
    reply = ask(app, Question("/update/some/label", "POST", body))
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/xml")
    assert b'protocol="3.0"' in reply.body


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"not xml", {}, 400),
        (b"x" * 1_100_000, {}, 413),
        (b"", {"content-length": "9" * 15}, 413),
        (b"a=" + b"x" * 70_000, {"content-type": "application/x-www-form-urlencoded"}, 413),
    ],
)
def test_a_wrong_body_gets_a_sentence(
    app: Starlette, body: bytes, headers: dict[str, str], status: int
) -> None:
    reply = ask(app, Question("/update", "POST", body, headers))
    assert reply.status == status
    assert reply.sentence


def test_infra_removal_leaves_what_labs_need(tmp_path: Path) -> None:
    with application(tmp_path, infra_removal=True) as small:
        assert ask(small, "/check_health").status == 200
        assert "--infra_removal" in ask(small, "/latestbuild?target=x").sentence


def test_a_defect_is_a_sentence_and_a_traceback_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("crosprov.devserver.health.Health.report", broken)
    with application(tmp_path) as small:
        reply = ask(small, "/check_health")
    assert (reply.status, reply.sentence) == (500, "the dev server failed; its log says why")
    assert "secret detail" in caplog.text


def test_the_log_holds_no_secret(app: Starlette, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ask(app, "/is_staged?archive_url=https://u:hidden1@example.com/a/b%3Fsig=hidden2&x=hidden3")
    (line,) = [record.getMessage() for record in caplog.records if "access" in record.name]
    assert "archive_url=https://example.com/a/b" in line and "1 unknown parameter" in line
    assert "hidden" not in line
