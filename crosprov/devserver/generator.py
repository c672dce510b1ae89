"""Make payloads from images with a program of the ChromiumOS checkout, and keep them.

A payload is named by the digests of its images, so the same images are never worked on twice.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosprov.devserver.digests import Digester
from crosprov.devserver.failures import Refused

DEFAULT = "cros_generate_update_payload"
_PATIENCE = 3600.0


@dataclass(frozen=True, slots=True)
class Images:
    """Name what a payload is made from; with a source the payload is a delta."""

    image: Path
    source: Path | None = None


class Generator:
    """Call the payload generator; `cache` is the folder below static of what it made."""

    def __init__(self, command: str, cache: Path) -> None:
        """Name the program, a command line whose words are split as a shell does.

        Raises Refused(500) when the words cannot be split.
        """
        try:
            self._command = tuple(shlex.split(command)) or (DEFAULT,)
        except ValueError as error:
            raise Refused(500, f"--payload_generator {command!r} is no command: {error}") from None
        self._cache = cache
        self._digester = Digester(self._memo)
        self._lock = threading.Lock()

    def check(self, images: Images) -> None:
        """Raise Refused(500) when the program or an image is missing."""
        for path in (images.image, images.source):
            if path is not None and not path.is_file():
                raise Refused(500, f"there is no image {path} to make a payload from")
        if shutil.which(self._command[0]) is None:
            raise Refused(
                500,
                f"a payload must be made from {images.image}, but there is no payload generator "
                f"{self._command[0]}; name one with --payload_generator, or stage a payload that "
                "is made already",
            )

    def payload(self, images: Images) -> Path:
        """Return the payload of the images, made when it is not there yet.

        Raises Refused(500) when the generator fails; its own last line is in the sentence.
        """
        with self._lock:
            target = self._cache / self._key(images)
            if not (target / "update.gz").is_file():
                self.check(images)
                self._make(images, target)
            os.utime(target)
            return target / "update.gz"

    def _key(self, images: Images) -> str:
        key = hashlib.sha256()
        for path in (images.image, images.source):
            try:
                key.update((self._digester.digest(path).sha256 if path else "full").encode())
            except OSError as error:
                raise Refused(500, f"image {path} cannot be read: {error.strerror}") from None
        return key.hexdigest()[:32]

    def _memo(self, image: Path) -> Path:
        # An image lies in somebody's checkout; nothing is written there.
        name = hashlib.sha256(os.fsencode(image.absolute())).hexdigest()[:32]
        (self._cache / "images").mkdir(parents=True, exist_ok=True)
        return self._cache / "images" / f"{name}.meta"

    def _make(self, images: Images, target: Path) -> None:
        self._cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".making-", dir=self._cache) as work:
            folder = Path(work) / "payload"
            folder.mkdir()
            self._call(self._arguments(images, folder / "update.gz"))
            if not (folder / "update.gz").is_file():
                raise Refused(500, f"payload generator {self._command[0]} made no payload")
            folder.rename(target)

    def _arguments(self, images: Images, output: Path) -> list[str]:
        argv = [*self._command, "--image", str(images.image), "--output", str(output)]
        if images.source is not None:
            argv += ["--src_image", str(images.source)]
        return argv

    def _call(self, argv: Sequence[str]) -> None:
        name = self._command[0]
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_PATIENCE,
            )
        except OSError as error:
            raise Refused(500, f"payload generator {name}: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise Refused(
                500, f"payload generator {name} was still at work after an hour"
            ) from None
        if done.returncode != 0:
            lines = done.stdout.decode(errors="replace").strip().splitlines()
            why = lines[-1].strip() if lines else f"status {done.returncode}"
            raise Refused(500, f"payload generator {name} failed: {why}")
