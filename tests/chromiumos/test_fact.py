"""The one question about a checkout, asked of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from crosprov.facts.chromiumos import CheckoutFact, CheckoutState
from tests.chromiumos.checkouts import checkout
from tests.lab.labs import differences, survey

ME = "root" if os.geteuid() == 0 else "nobody"  # who may run the Python of these tests
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")


@pytest.fixture
def root() -> Iterator[Path]:
    with checkout() as made:
        yield made


def ask(
    root: Path,
    *,
    python: str = sys.executable,
    account: str = ME,
    port: int = 1,
    static_dir: str = "/srv/nothing/static",
    paths: tuple[str, ...] = (),
) -> CheckoutState:
    """Ask the question as the planner does, with a shell."""
    command = CheckoutFact().command(
        str(root), python, account, f"{root}/cache", port, static_dir, paths
    )
    done = subprocess.run(
        ["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return CheckoutFact().process(done.stdout.splitlines())


def test_a_checkout_tells_its_options(root: Path) -> None:
    seen = ask(root)
    assert (seen.checkout, seen.devserver, seen.readable, seen.chromite) == (True,) * 4
    assert (seen.python, seen.shebang, seen.status) == (sys.executable, "python3", 0)
    assert {"--infra_removal", "--portfile", "--static_dir"} <= seen.usage.options.keys()
    assert "--image" not in seen.usage.options
    assert (seen.gsutil, seen.seed, seen.boards) == ("5.4", "", ())
    assert not (seen.wants_sudo or seen.wants_images or seen.images or seen.build)


def test_an_old_checkout_tells_what_it_fails_without() -> None:
    with checkout("old", "4.27") as root:
        (root / "chroot/build/eve/var/db/pkg").mkdir(parents=True)
        (root / "out/build/kevin/packages").mkdir(parents=True)
        (root / "chroot/build/empty").mkdir()
        (root / "src/build").mkdir()
        seen = ask(root)
    assert seen.wants_sudo and seen.wants_images and seen.build and not seen.images
    assert {"eve", "kevin"} <= set(seen.boards) and "empty" not in seen.boards
    assert "--image" in seen.usage.options and seen.gsutil == "4.27"


def test_asking_writes_nothing_and_answers_the_same_twice(root: Path) -> None:
    imported = root / "src/platform/dev/helper.py"
    imported.write_text("x = 1\n")  # would leave a compiled module beside it
    program = root / "src/platform/dev/devserver.py"
    program.write_text(program.read_text().replace("import html\n", "import html\nimport helper\n"))
    before = survey(root)
    first, second = ask(root), ask(root)
    assert first.status == 0
    assert asdict(first) == asdict(second)
    assert differences(before, survey(root)) == []


def test_a_program_that_writes_while_it_is_asked_cannot(root: Path) -> None:
    program = root / "src/platform/dev/devserver.py"
    program.write_text(f"open({str(root / 'written')!r}, 'w').write('x' * 9999)\n")
    seen = ask(root)
    assert seen.status != 0
    assert not (root / "written").exists() or (root / "written").stat().st_size == 0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import cherrypy_of_no_version\n", "ModuleNotFoundError: No module named 'cherrypy_of"),
        ("raise SystemExit('no  config ')\n", "no  config"),
        ("print 'python 2'\n", "SyntaxError: "),
    ],
)
def test_a_program_that_fails_says_why(root: Path, text: str, fault: str) -> None:
    (root / "src/platform/dev/devserver.py").write_text(text)
    seen = ask(root)
    assert seen.status == 1
    assert seen.fault.startswith(fault)
    assert not seen.usage


def test_a_missing_checkout_is_no_error() -> None:
    seen = ask(Path("/nonexistent/it's not there"))
    assert not (seen.checkout or seen.devserver or seen.python)
    assert seen.status is None


def test_a_missing_python_is_told_by_its_name(root: Path) -> None:
    program = root / "src/platform/dev/devserver.py"
    program.write_text("#!/usr/bin/env python-of-1991\n")
    seen = ask(root, python="")
    assert (seen.shebang, seen.python, seen.status) == ("python-of-1991", "", None)


@needs_root
def test_it_is_asked_as_the_account_that_will_run_it(root: Path) -> None:
    (root / "src").chmod(0o700)
    assert not ask(root, account="nobody").readable
    (root / "src").chmod(0o755)
    seen = ask(root, account="nobody", python="/bin/sh")
    assert seen.readable
    program = root / "src/platform/dev/devserver.py"
    program.write_text('id -u\necho "$HOME"\ntest -w / || echo harmless\n')
    assert ask(root, account="nobody", python="/bin/sh").help.splitlines()[1:] == [
        "/nonexistent", "harmless",
    ]  # fmt: skip
    assert ask(root, account="no-such-one", python="/bin/sh").help.splitlines()[0] == "65534"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_who_listens_on_the_port_is_named(root: Path, family: socket.AddressFamily) -> None:
    with socket.socket(family) as other:
        try:
            other.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
        except OSError:
            pytest.skip("no such addresses here")
        port = other.getsockname()[1]
        assert ask(root, port=port).listeners == ()  # bound, so that nobody else may listen
        other.listen()
        (listener,) = ask(root, port=port).listeners
    assert listener.program == Path("/proc/self/comm").read_text().strip()


def test_files_that_shall_be_there_are_looked_for(root: Path) -> None:
    there, not_there = str(root / "chromite"), str(root / "an image.bin")
    assert ask(root, paths=(there, not_there)).missing == {not_there}


def test_a_cache_tells_from_what_it_was_filled(root: Path) -> None:
    program = root / "cache/common/gsutil_5.4.tar.gz/gsutil/gsutil"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    assert ask(root).seed == "other"
    (program.parents[1] / ".crosprov").write_text("abc\n")
    assert ask(root).seed == "abc"
