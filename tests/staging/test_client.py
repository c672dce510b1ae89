"""The program that asks a dev server on its host, against servers of both kinds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crosprov import staging_client
from crosprov.facts.staging import StagedFact
from tests.support.serving import serving

BUILD = "eve-release/R120-15662.0.0"
URL = f"gs://bucket/{BUILD}"
WISH = {"source": URL, "artifacts": ["full_payload", "stateful"], "files": ["a.bin"]}
PAGE = """<html><body><h2>500</h2><pre id="traceback">Traceback (most recent call last):
  File "x.py", line 1
DownloaderException: no &lt;file&gt; fits
</pre></body></html>"""

Answer = tuple[int, str]


@dataclass
class Fake:
    """A dev server that has some names, and gets others when it is told to stage."""

    there: set[str] = field(default_factory=set)
    stage: Callable[[Fake, list[str]], Answer] | None = None
    failed: str | None = None  # what is_staged answers with 500
    translated: Answer = (404, "nothing is called so\n")
    state: str | None = None  # what stage_state answers
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        """Answer as a dev server does."""
        split = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        names = [n for key in ("artifacts", "files") for n in query.get(key, "").split(",") if n]
        self.asked.append(split.path.split("/")[1])
        if split.path == "/is_staged":
            if self.failed is not None:
                return 500, self.failed
            return 200, str(set(names) <= self.there)
        if split.path == "/stage_state" and self.state is not None:
            return 200, self.state
        if split.path.startswith("/xbuddy_translate/"):
            return self.translated
        if split.path == "/stage":
            if self.stage is not None:
                return self.stage(self, names)
            self.there |= set(names)
            return 200, "Success"
        return 404, "<html>no such page</html>"


@contextmanager
def answering(fake: Fake) -> Iterator[int]:
    """Serve a fake dev server on the loopback; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = fake.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_port


def run(verb: str, port: int, what: object) -> subprocess.CompletedProcess[str]:
    """Run the program as a host does; what it reports on fd 9 comes first on stdout."""
    command = [sys.executable, "-I", staging_client.__file__, verb, str(port), json.dumps(what)]
    return subprocess.run(
        ["sh", "-c", 'exec 9>&1; exec "$@"', "sh", *command],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def ask(port: int, *wishes: object) -> list[dict[str, Any]]:
    done = run("ask", port, wishes)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("fake", "missing"),
    [
        (Fake(), ["full_payload", "stateful", "a.bin"]),
        (Fake({"stateful"}), ["full_payload", "a.bin"]),
        (Fake({"stateful", "full_payload", "a.bin"}), []),
        (Fake(failed=PAGE), ["full_payload", "stateful", "a.bin"]),
    ],
)
def test_what_is_missing_is_told(fake: Fake, missing: list[str]) -> None:
    with answering(fake) as port:
        (found,) = ask(port, WISH)
    assert (found["build"], found["missing"]) == (BUILD, missing)
    assert "stage" not in fake.asked


def test_a_server_that_is_down_is_asked_once() -> None:
    with answering(Fake()) as port:
        pass
    found = ask(port, WISH, WISH)
    assert found == [{"unknown": "the dev server does not answer"}] * 2


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (f"{BUILD}/chromiumos_test_image.bin", "test_image"),
        (f"{BUILD}/factory_shim/factory_install_shim.bin\n", "factory_shim_image"),
        (f"/{BUILD}/chromeos_R120-15662.0.0_eve_full_dev.bin", "full_payload"),
        (f"{BUILD}/chromeos_R119_R120_eve_delta_dev.bin", "delta_payload"),
        (f"{BUILD}/something.else", "something.else"),
    ],
)
def test_an_xbuddy_path_is_translated(answer: str, name: str) -> None:
    fake = Fake(translated=(200, answer))
    path = {"xbuddy": "remote/eve/latest-dev/test", "archive": "gs://bucket"}
    with answering(fake) as port:
        assert ask(port, path)[0]["missing"] == [name]
        done = run("stage", port, path)
        assert (done.returncode, done.stderr) == (0, "")
        assert ask(port, path)[0]["missing"] == []


def test_an_xbuddy_path_that_means_nothing_is_not_known() -> None:
    with answering(Fake()) as port:
        path = {"xbuddy": "nonsense", "archive": "gs://bucket"}
        assert ask(port, path) == [{"unknown": "nothing is called so"}]
        done = run("stage", port, path)
    assert (done.returncode, done.stderr) == (1, "nothing is called so\n")


def test_staging_returns_when_all_is_there_and_says_how_far_it_is() -> None:
    def later(fake: Fake, names: list[str]) -> Answer:
        fake.state = json.dumps({"done": 350, "total": 1000, "file": "x/full.bin"})
        fake.there.add(names[0])
        threading.Timer(0.5, fake.there.update, (names,)).start()
        return 200, "Success"

    fake = Fake(stage=later)
    with answering(fake) as port:
        done = run("stage", port, WISH)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "35 % of 1 kB, full.bin"
    assert fake.there == {"full_payload", "stateful", "a.bin"}


def test_a_server_that_stages_in_the_background_is_asked_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = Fake(stage=lambda _fake, _names: (200, "Success"), state='{"done": 0, "total": 9}')
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 5:
            fake.there |= {"full_payload", "stateful", "a.bin"}

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(staging_client, "report", lambda text: None)
    monkeypatch.setattr(staging_client, "STUCK", 10.0)
    with answering(fake) as port:
        staging_client.stage(staging_client.Server(port), WISH)
    assert len(pauses) == 5
    assert pauses == sorted(pauses) and 0.1 <= pauses[0] < pauses[-1] <= 1
    assert fake.asked.count("stage_state") <= len(pauses) + 2


def test_a_server_that_was_started_anew_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    states = iter(['{"done": 5, "total": 9, "file": "a"}', *['{"done": 0, "total": 0}'] * 3])

    def stage(fake: Fake, names: list[str]) -> Answer:
        if fake.asked.count("stage") == 2:
            fake.there |= set(names)
        return 200, "Success"

    def sleep(_seconds: float) -> None:
        fake.state = next(states, fake.state)

    fake = Fake(stage=stage, state='{"done": 0, "total": 0}')
    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(staging_client, "report", lambda text: None)
    monkeypatch.setattr(staging_client, "STUCK", 10.0)
    with answering(fake) as port:
        staging_client.stage(staging_client.Server(port), WISH)
    assert fake.asked.count("stage") == 2


def test_a_server_that_ends_each_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(stage=lambda _fake, _names: (200, "Success"))
    server = staging_client.Server(0)
    ask = server.get
    answered: list[str] = []

    def get(path: str, *words: Any) -> Answer:
        answered.append(path)
        if answered[-2:] == ["/stage", "/stage_state"]:
            raise ConnectionRefusedError("nobody listens")
        return ask(path, *words)

    monkeypatch.setattr(server, "get", get)
    monkeypatch.setattr(staging_client.Request, "start", staging_client.Request.run)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(staging_client, "STUCK", 10.0)
    with answering(fake) as port, pytest.raises(staging_client.Failed, match="ended 3 times"):
        server.port = port
        staging_client.wait(server, WISH, staging_client.Request(server, WISH))
    assert fake.asked.count("stage") == 3


def refuse(status: int, text: str) -> Callable[[Fake, list[str]], Answer]:
    """Give a way of staging that is refused at once."""
    return lambda fake, names: (status, text)


def fail_later(fake: Fake, names: list[str]) -> Answer:
    """Take the request, and then have failed, as a server of ours."""
    fake.state = json.dumps({"done": 0, "total": 0})
    fake.failed = "gs://bucket says 403\n"
    return 200, "Success"


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (refuse(400, "there is no artifact 'x'\n"), "there is no artifact 'x'"),
        (refuse(500, PAGE), "DownloaderException: no <file> fits"),
        (refuse(500, ""), "the dev server failed and said nothing"),
        (fail_later, "gs://bucket says 403"),
    ],
)
def test_a_failure_is_the_servers_own_last_line(
    way: Callable[[Fake, list[str]], Answer], said: str
) -> None:
    with answering(Fake(stage=way)) as port:
        done = run("stage", port, WISH)
    assert (done.returncode, done.stderr) == (1, f"{said}\n")


def test_a_checkouts_server_is_asked_again_when_a_related_artifact_spoilt_it() -> None:
    def spoilt_once(fake: Fake, names: list[str]) -> Answer:
        if fake.asked.count("stage") == 1:
            fake.failed = PAGE
        else:
            fake.failed = None
            fake.there |= set(names)
        return 200, "Success"

    fake = Fake(stage=spoilt_once)
    with answering(fake) as port:
        assert run("stage", port, WISH).returncode == 0
    assert fake.asked.count("stage") == 2


def test_the_question_asks_only_the_server_of_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "unit"
    unit.write_text('ExecStart=x --static_dir "/srv/a"\n')
    fake = Fake({"stateful"})
    with answering(fake) as port:
        for words, expected in (('--static_dir "/srv/a"', 1), ('--static_dir "/srv/b"', 0)):
            question = StagedFact().command(port, json.dumps([WISH]), str(unit), words)
            done = subprocess.run(["sh", "-c", question], capture_output=True, text=True)
            found = StagedFact().process(done.stdout.splitlines())
            assert len(found) == expected
