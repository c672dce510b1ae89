"""Commands as lines that any login shell reads alike, with or without sudo."""

from __future__ import annotations

import re
import secrets
import shlex

from crosprov.errors import NoPrivilege
from crosprov.transport.base import Completed, Sink

_PLAIN = re.compile(r"[A-Za-z0-9_./,:+-]+( [A-Za-z0-9_./,:+-]+)*\Z")
_AWKWARD = re.compile(rb"[^ -~]|['\\!]")
_NOT_FOUND = 127


def portable(command: str) -> str:
    """Return a line that runs a POSIX shell command under any login shell.

    sshd hands the line to the account's own shell, which may be fish or csh. Text
    between single quotes means the same in all of them, except for `'`, `\\`, `!`, line
    ends and bytes beyond ASCII; those travel as octal escapes.
    """
    if _PLAIN.match(command):
        return command
    raw = command.encode()
    if not _AWKWARD.search(raw):
        return f"/bin/sh -c '{command}'"
    escaped = _AWKWARD.sub(lambda found: b"\\0%03o" % found[0][0], raw).decode()
    return f"""/bin/sh -c 'exec /bin/sh -c "$(printf %b "$1")"' sh '{escaped}'"""


class Sudo:
    """Run one command through `sudo -n`, and tell sudo's own words from the command's.

    The mark is printed as root, before the command begins. Without it the command never
    ran; what sudo says before it, in whatever language, is not the command's output.
    """

    def __init__(self, host: str, where: str) -> None:
        self._host = host
        self._where = where
        self._mark = f"crosprov-{secrets.token_hex(8)}-"

    def words(self, command: str) -> str:
        """Return the shell command that runs `command` as root."""
        root = f'printf %s {self._mark} >&2; exec /bin/sh -c "$1"'
        return f"exec sudo -n -- /bin/sh -c {shlex.quote(root)} sh {shlex.quote(command)}"

    def sink(self, sink: Sink | None) -> Sink | None:
        """Return a sink for stderr that passes on what comes after the mark."""
        return None if sink is None else _AfterMark(self._mark.encode(), sink)

    def outcome(self, done: Completed) -> Completed:
        """Return what the command left, without the mark; raise NoPrivilege if it never ran."""
        said, mark, stderr = done.stderr.partition(self._mark.encode())
        if mark:
            return Completed(done.status, done.stdout, stderr)
        if done.status == _NOT_FOUND:
            raise NoPrivilege(
                self._host,
                f"{self._where} has no sudo, and the account is not told to do without it.",
                hint="Log in as root with ssh.user: root and ssh.sudo: false, or install sudo.",
            )
        # Without the mark stdout is not the command's either: a login shell like nologin's.
        words = (said.strip() or done.stdout).decode(errors="replace").strip()
        reason = words.splitlines()[-1:] or ["it gave no reason"]
        raise NoPrivilege(
            self._host,
            f"sudo on {self._where} did not run a command without a prompt ({reason[0]}).",
            hint="Give the account a NOPASSWD: ALL rule in /etc/sudoers.d, or log in as root.",
        )


class _AfterMark:
    """Hold bytes back until a mark has passed, and then pass them on."""

    def __init__(self, mark: bytes, sink: Sink) -> None:
        self._mark = mark
        self._sink = sink
        self._held: bytes | None = b""

    def __call__(self, data: bytes) -> None:
        if self._held is not None:
            _, mark, rest = (self._held + data).partition(self._mark)
            if not mark:
                self._held += data
                return
            self._held, data = None, rest
        if data:
            self._sink(data)
