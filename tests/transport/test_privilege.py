"""Command lines for any shell, and root through sudo."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.errors import NoPrivilege
from crosprov.transport.base import Completed, Transport
from crosprov.transport.local import LocalTransport
from crosprov.transport.privilege import Sudo, portable
from crosprov.transport.ssh import connect
from tests.support.sshd import MISSING, installed, sshd

SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh", "fish", "csh") if shutil.which(shell)]

OBEDIENT = '#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 9\nshift 2\nAS=root exec "$@"\n'
NOISY = OBEDIENT.replace("shift 2", "shift 2\necho sudo: unable to resolve host >&2")
PROMPTING = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"
MUTE = "#!/bin/sh\nexit 1\n"


@pytest.mark.parametrize(
    "command", ["sh -s", "true", "/usr/bin/env -i /bin/sh -s", "systemctl is-active docker.service"]
)
def test_plain_words_need_no_quotes(command: str) -> None:
    assert portable(command) == command


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_only_harmless_characters_stand_between_the_quotes(text: str) -> None:
    line = portable(f"printf %s {text} $HOME")
    assert line.isascii()
    assert "\n" not in line
    assert "!" not in line
    assert line.count("'") in (2, 4)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "text",
    ["it's", 'a "b"', "$HOME `id`", "back\\slash \\n \\\\", "!!", "two\nlines", "grün", "~ * ?"],
)
def test_every_shell_reads_the_same_words(shell: str, text: str) -> None:
    command = f"cat <<'END'\n{text}\nEND"
    done = subprocess.run([shell, "-c", portable(command)], capture_output=True, check=True)
    assert done.stdout.decode() == f"{text}\n"


@given(
    before=st.binary(max_size=40),
    after=st.binary(max_size=40),
    cuts=st.lists(st.integers(0, 120), max_size=6),
)
def test_the_mark_is_found_wherever_the_stream_is_cut(
    before: bytes, after: bytes, cuts: list[int]
) -> None:
    sudo = Sudo("host1", "host1")
    mark = sudo._mark.encode()
    whole = before + mark + after
    seen: list[bytes] = []
    sink = sudo.sink(seen.append)
    assert sink is not None
    edges = sorted({0, len(whole), *(min(cut, len(whole)) for cut in cuts)})
    for start, end in zip(edges, edges[1:], strict=False):
        sink(whole[start:end])
    assert b"".join(seen) == after
    assert sudo.outcome(Completed(0, b"", whole)).stderr == after


Reach = Callable[[str | None], Transport]


@pytest.fixture(params=["ssh", "local"])
def reach(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reach:
    """Return a transport that finds a given script under the name sudo, or no sudo at all."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("sh", "cat", "head"):
        (tools / tool).symlink_to(shutil.which(tool) or "")

    def provide(script: str | None) -> Transport:
        if script is not None:
            (tools / "sudo").write_text(script)
            (tools / "sudo").chmod(0o755)
        if request.param == "local":
            monkeypatch.setenv("PATH", str(tools))
            return LocalTransport("host1", sudo=True)
        if not installed():
            pytest.skip(MISSING)
        manager = sshd(tmp_path / "sshd", environment={"PATH": str(tools)})
        server = manager.__enter__()
        request.addfinalizer(lambda: manager.__exit__(None, None, None))
        return connect(server.target(sudo=True))

    return provide


@pytest.mark.parametrize("sudo", [OBEDIENT, NOISY])
def test_commands_run_through_sudo(reach: Reach, sudo: str) -> None:
    seen: list[bytes] = []
    with closing(reach(sudo)) as session:
        done = session.run(
            'printf "%s" "$AS it\'s"; cat; echo err >&2; exit 7',
            stdin=b"input",
            on_stderr=seen.append,
        )
    assert (done.status, done.stdout, done.stderr) == (7, b"root it'sinput", b"err\n")
    assert b"".join(seen) == b"err\n"


def test_scripts_and_megabytes_pass_through_sudo(reach: Reach) -> None:
    with closing(reach(OBEDIENT)) as session:
        assert session.run("sh -s", stdin=b"exit 6").status == 6
        assert session.run("cat", stdin=bytes(3_000_000)).stdout == bytes(3_000_000)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (PROMPTING, r"without a prompt \(sudo: a password is required\)"),
        (MUTE, r"without a prompt \(it gave no reason\)"),
        (None, r"has no sudo"),
    ],
)
def test_root_that_cannot_be_had_is_a_sentence(
    reach: Reach, script: str | None, message: str
) -> None:
    with closing(reach(script)) as session, pytest.raises(NoPrivilege, match=message) as caught:
        session.run("echo never")
    assert caught.value.host == "host1"
    assert "log in as root" in (caught.value.hint or "").lower()
