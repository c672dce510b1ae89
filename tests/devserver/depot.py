"""A bucket with builds, and stagers that stage them, for tests."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from crosprov.devserver.downloads import Patience
from crosprov.devserver.layout import Layout
from crosprov.devserver.staging import Request, Stager
from crosprov.devserver.stores import open_store
from crosprov.devserver.websources import WebSources
from tests.support.bucket import BucketServer

BUCKET = "chromeos-image-archive"
BUILD = "eve-release/R120-15662.0.0"
SOURCE = f"gs://{BUCKET}/{BUILD}"
PAYLOAD = "chromeos_R120-15662.0.0_eve_full_dev.bin"
QUICK = Patience(foreground=0.0, background=0.0, pauses=(0.01, 0.01))


def tar_of(files: dict[str, bytes], compression: str = "") -> bytes:
    """Make a tar of files; `compression` is gz, bz2 or xz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def zip_of(files: dict[str, bytes]) -> bytes:
    """Make a zip of files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


CONTENT = {
    PAYLOAD: b"CrAU" + bytes(range(256)) * 40,
    f"{PAYLOAD}.json": b'{"size": 10244}',
    "stateful.tgz": tar_of({"var/x": b"stateful"}, "gz"),
    "image.zip": zip_of(
        {"chromiumos_base_image.bin": b"base" * 500, "chromiumos_test_image.bin": b"test" * 500}
    ),
    "autotest.tar": tar_of(
        {"autotest/client/site.py": b"pass", "autotest/test_suites/control.x": b"no"}
    ),
    "control_files.tar": tar_of({"autotest/client/control": b"control"}),
    "autotest_packages.tar": tar_of({"autotest/packages/pkg.tar": b"packages"}),
    "test_suites.tar.bz2": tar_of({"autotest/test_suites/control.bvt": b"suite"}, "bz2"),
    "debug_breakpad.tar.xz": tar_of({"debug/breakpad/a.sym": b"sym", "debug/other": b"o"}, "xz"),
}


def fill(server: BucketServer, build: str = BUILD, **more: bytes) -> str:
    """Put a build into the bucket; gives its source."""
    for name, content in {**CONTENT, **more}.items():
        server.put(BUCKET, f"{build}/{name}", content)
    return f"gs://{BUCKET}/{build}"


@contextmanager
def stager_of(
    static: Path,
    endpoint: str | None = None,
    *,
    capacity: int = 0,
    patience: Patience = QUICK,
    credentials: Path | None = None,
    web: Iterable[str] = (),
) -> Iterator[Stager]:
    """Run a stager, which may fetch from the web servers `web`; it is closed at the end."""
    stores = partial(open_store, credentials=credentials, endpoint=endpoint, web=WebSources(web))
    stager = Stager(Layout(static), stores, capacity=capacity, patience=patience)
    try:
        yield stager
    finally:
        stager.close()


def key_file(folder: Path, endpoint: str, email: str) -> Path:
    """Make the JSON key of a service account whose tokens come from a bucket server."""
    command = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    key = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    path = folder / "key.json"
    account = {"type": "service_account", "client_email": email, "private_key": key}
    path.write_text(json.dumps({**account, "token_uri": f"{endpoint}/token"}))
    return path


def visible(static: Path) -> dict[str, bytes]:
    """Read all files that are no records of the dev server, by their paths."""
    found = {}
    for above, folders, names in os.walk(static):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and name != "staged.timestamp":
                path = Path(above, name)
                found[str(path.relative_to(static))] = path.read_bytes()
    return found


def wants(*artifacts: str, source: str = SOURCE, files: tuple[str, ...] = ()) -> Request:
    """Ask for artifacts and files of a build."""
    return Request(source, artifacts, files)
