"""Single files of an rsync server, with the rsync program."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from crosprov.mirror.limits import Bandwidth
from crosprov.mirror.model import Fault

_SILENCE = 60  # seconds without a byte
_PARTIAL = 23  # some files could not be transferred
_VANISHED = 24  # it was listed, and gone when it was opened
_PASSING = {5, 10, 12, 20, 30, 35}  # of the connection, or of the server's limits (rsync(1))


class RsyncError(Exception):
    """rsync could not do it; with `passing`, it may another time."""

    def __init__(self, sentence: str, passing: bool) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.passing = passing


class Rsync:
    """A folder of an rsync server, `rsync://host/module/path`."""

    def __init__(self, base: str) -> None:
        # The daemon of rsync 3.5.0 finds listed files from its module's top only.
        start, _, path = base.partition("://")
        host, module, *folders = path.split("/")
        self._module = f"{start}://{host}/{module}/"
        self._folder = "".join(f"{folder}/" for folder in folders if folder)

    def get(self, name: str, target: Path, bandwidth: Bandwidth) -> Path | None:
        """Fetch one file to a path; None when there is none. Raises RsyncError and Fault.

        Names go in by a list, where no sign of theirs means anything.
        """
        program = shutil.which("rsync")
        if program is None:
            raise Fault("there is no rsync program here", hint="install the package rsync")
        folder = target.with_name(f"{target.name}.d")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            listed = f"{self._folder}{name}"
            with bandwidth.whole():
                status, said = self._run(program, listed, folder, bandwidth)
            found = folder / listed
            if status == 0 and found.is_file():
                bandwidth.take(found.stat().st_size)
                os.replace(found, target)
                return target
            is_none = status == _PARTIAL and "No such file" in said
            if is_none or status == _VANISHED:
                return None
            raise RsyncError(f"rsync ended with {status} ({said})", status in _PASSING)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(
        self, program: str, listed: str, folder: Path, bandwidth: Bandwidth
    ) -> tuple[int, str]:
        limit = [f"--bwlimit={max(1, bandwidth.rate // 1024)}"] if bandwidth.rate else []
        command = [
            program,
            "--files-from=-",
            "--from0",
            "--copy-links",
            "--no-motd",
            f"--timeout={_SILENCE}",
            "--contimeout=10",
            *limit,
            self._module,
            f"{folder}/",
        ]
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | {"LC_ALL": "C"},
            errors="replace",
        ) as process:
            try:
                said = _ended(process, f"{listed}\0", bandwidth)
            finally:
                process.kill()
        lines = [line for line in said.splitlines() if line.strip()]
        return process.returncode, lines[0][:160] if lines else "no word"


def _ended(process: subprocess.Popen[str], given: str, bandwidth: Bandwidth) -> str:
    """Wait until it ends, or the sync is to end; raises Stopped."""
    text: str | None = given
    while True:
        try:
            return process.communicate(text, timeout=0.5)[1]
        except subprocess.TimeoutExpired:
            text = None
            bandwidth.take(0)
