"""Checkouts with the stand-in for their devserver, in folders that every account may enter."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STANDIN = Path(__file__).with_name("standin.py")


@contextmanager
def checkout(generation: str = "new", gsutil: str = "5.4") -> Iterator[Path]:
    """Make a checkout with `devserver.py` and a trace of chromite; it goes at the end."""
    root = Path(tempfile.mkdtemp(prefix="crosprov-checkout-"))
    root.chmod(0o755)
    try:
        dev = root / "src/platform/dev"
        dev.mkdir(parents=True)
        text = STANDIN.read_text().replace('GENERATION = "new"', f'GENERATION = "{generation}"')
        (dev / "devserver.py").write_text(text)
        (dev / "setup_chromite.py").touch()
        if generation == "old":
            (dev / "xbuddy.py").touch()
            (dev / "common_util.py").write_text("run(['sudo', 'chown', '-R', who, folder])\n")
        (root / "chromite/lib").mkdir(parents=True)
        (root / "chromite/__init__.py").touch()
        (root / "chromite/lib/gs.py").write_text(f"class C:\n  GSUTIL_VERSION = '{gsutil}'\n")
        yield root
    finally:
        shutil.rmtree(root)
