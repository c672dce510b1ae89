"""What the tests of the supports share: a bucket server, and real clients of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.bucket import BucketServer, bucket_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "contents") as running:
        yield running


@pytest.fixture
def owner(server: BucketServer) -> Iterator[Any]:
    """A client that may do everything."""
    with server.client(server.owner) as client:
        yield client


@pytest.fixture
def anonymous(server: BucketServer) -> Iterator[Any]:
    """A client without credentials."""
    with server.client() as client:
        yield client
