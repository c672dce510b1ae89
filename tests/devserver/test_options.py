"""The dev server's command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crosprov.devserver.options import Options, options_of


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--port", "0", "--host", "::1"], {"port": 0, "host": "::1"}),
        (["--static_dir", "/srv"], {"static_dir": Path("/srv")}),
        (["--static-dir=/srv"], {"static_dir": Path("/srv")}),
        (["-t", "-x"], {"test_image": True, "xbuddy_manage_builds": True}),
        (["-p", "--image", "a.bin"], {"pregenerate_update": True, "image": Path("a.bin")}),
        (["--max_updates", "-1"], {"max_updates": -1}),
        (["--archive", "gs://b/x/"], {"archive": "gs://b/x"}),
        (["--archive", "http://192.0.2.1:80"], {"archive": "http://192.0.2.1:80"}),
        (["-u", "http://front.example.com"], {"urlbase": "http://front.example.com"}),
        (
            ["--web_source", "https://a/x/", "--web-source", "http://b"],
            {"web_source": ("https://a/x", "http://b")},
        ),
        (["--payload", "u.gz", "--use_cached"], {"payload": Path("u.gz"), "use_cached": True}),
    ],
)
def test_words_become_options(words: list[str], expected: dict[str, Any]) -> None:
    assert options_of(words) == Options(**expected)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--use_cache"], "there is no option --use_cache; did you mean --use_cached?"),
        (["--stat", "x"], "there is no option --stat"),
        (["--host_log"], "there is no option --host_log"),
        (["serve"], "the word 'serve' belongs to no option"),
        (["--port", "70000"], "a port is a number from 0 to 65535"),
        (["--port", "x"], "a port is a number"),
        (["--max_updates", "-2"], "the limit is a number"),
        (["--archive", "chromeos-image-archive"], "does not begin with gs://"),
        (["--web_source", "gs://bucket"], "does not begin with http:// or https://"),
        (["--payload"], "expected one argument"),
    ],
)
def test_wrong_words_end_with_2_and_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        options_of(words)
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert said in error and error.count("\n") == 1


def test_what_does_nothing_is_named() -> None:
    assert options_of(["-t", "--production"]).idle == ("--production", "--test_image")


def test_the_help_says_something_of_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        options_of(["--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert all(f"--{name}" in text for name in Options.__slots__)


def test_crosprov_hands_its_words_over() -> None:
    command = [sys.executable, "-c", "from crosprov.cli import main; main()", "devserver"]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=60, check=False
        )

    shown = run("--help")
    assert shown.returncode == 0 and "--static_dir" in shown.stdout
    wrong = run("--nonsense")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("crosprov devserver: there is no option --nonsense")
