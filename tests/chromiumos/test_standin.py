"""The command line that a version gets starts it; the stand-in answers as the original does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from crosprov.chromiumos.options import command_line
from crosprov.chromiumos.usage import parse_usage
from tests.chromiumos.checkouts import checkout
from tests.support.waiting import until


def program(root: Path) -> list[str]:
    """Give the words that run a checkout's devserver."""
    return [sys.executable, str(root / "src/platform/dev/devserver.py")]


@contextmanager
def served(generation: str, path: str | None = None) -> Iterator[tuple[str, Path]]:
    """Start the devserver of a checkout as crosprov words it; give its address and static_dir."""
    with checkout(generation) as root:
        static = root / "static"
        words = program(root)
        asked = subprocess.run([*words, "--help"], capture_output=True, text=True)
        line = command_line(
            {"port": 0, "static_dir": str(static), "production": True},
            parse_usage(asked.stdout),
            {f"--{name}": f"{root}/{name}" for name in ("logfile", "pidfile", "portfile")},
        )
        environ = {**os.environ, **({"PATH": path} if path is not None else {})}
        server = subprocess.Popen([*words, *line.words], env=environ)
        try:
            port = root / "portfile"
            until(lambda: port.exists() and port.read_text().endswith("\n"), within=30)
            yield f"http://127.0.0.1:{port.read_text().strip()}", static
            server.send_signal(signal.SIGTERM)
            assert server.wait(30) == 0
            assert not port.exists() and not (root / "pidfile").exists()
            assert (root / "logfile").exists()
        finally:
            server.kill()
            server.wait()


def get(url: str) -> tuple[int, str, str]:
    """Ask, and give status, content type and body."""
    try:
        with urlopen(url, timeout=20) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.mark.parametrize("generation", ["old", "new"])
def test_it_stages_and_answers_in_html(generation: str, tmp_path: Path) -> None:
    (tmp_path / "sudo").symlink_to("/bin/true")
    with served(generation, f"{tmp_path}:{os.environ['PATH']}") as (url, static):
        build = static / "incoming/eve-release/R1-1.0.0"
        build.mkdir(parents=True)
        (build / "stateful.tgz").write_text("state")
        source = f"local_path={build}&artifacts=stateful"
        html = "text/html;charset=utf-8"
        assert get(f"{url}/is_staged?{source}") == (200, html, "False")
        assert get(f"{url}/stage?{source}") == (200, html, "Success")
        assert get(f"{url}/is_staged?{source}") == (200, html, "True")
        assert get(f"{url}/static/eve-release/R1-1.0.0/stateful.tgz")[::2] == (200, "state")
        assert get(f"{url}/check_health")[2].startswith("{")
        missing = f"local_path={build}&files=no.bin"
        for rpc in ("stage", "is_staged"):
            status, kind, body = get(f"{url}/{rpc}?{missing}")
            assert (status, kind) == (500, html)
            assert "Could not find no.bin" in body.partition('id="traceback"')[2]
        (build / "no.bin").touch()
        assert get(f"{url}/stage?{missing}")[2] == "Success"
        assert get(f"{url}/is_staged?{missing}")[2] == "True"


def test_the_old_one_stages_nothing_without_sudo(tmp_path: Path) -> None:
    with served("old", str(tmp_path)) as (url, static):
        (static / "a/b").mkdir(parents=True)
        status, _, body = get(f"{url}/stage?local_path={static}/a/b&files=x")
        assert status == 500
        assert "No such file or directory" in body


@pytest.mark.parametrize(("generation", "option"), [("old", "--infra_removal"), ("new", "--image")])
def test_an_unknown_option_ends_it(generation: str, option: str) -> None:
    with checkout(generation) as root:
        done = subprocess.run([*program(root), option], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"no such option: {option}" in done.stderr
