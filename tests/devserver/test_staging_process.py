"""Staging by a dev server that runs as a process, over HTTP and with Google's own client."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.devserver.asking import Reply, running
from tests.devserver.depot import (
    BUCKET,
    BUILD,
    CONTENT,
    PAYLOAD,
    SOURCE,
    fill,
    key_file,
    visible,
)
from tests.support.bucket import BucketServer, Rule, bucket_server
from tests.support.waiting import until

CLIENTS = 50
STAGE = f"/stage?archive_url={SOURCE}&artifacts=full_payload,stateful"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[BucketServer]:
    with bucket_server(tmp_path / "gs") as server:
        fill(server)
        yield server


def test_fifty_clients_that_stage_one_build_cause_one_download(
    bucket: BucketServer, tmp_path: Path
) -> None:
    gate = bucket.fail(Rule(path=f"{PAYLOAD}$", query="alt=media", stall=100))
    together = threading.Barrier(CLIENTS)
    with (
        running(tmp_path, "--storage_endpoint", bucket.endpoint) as server,
        ThreadPoolExecutor(CLIENTS) as clients,
    ):

        def ask(_: int) -> Reply:
            together.wait(30)
            return server.ask(STAGE)

        answers = [clients.submit(ask, number) for number in range(CLIENTS)]
        gate.wait()
        # The payload is held up until every client has asked: none comes late by luck.
        until(lambda: staging(server.ask("/check_health")) == CLIENTS)
        gate.release()
        assert {(answer.result().status, answer.result().body) for answer in answers} == {
            (200, b"Success")
        }
        for name in (PAYLOAD, f"{PAYLOAD}.json", "stateful.tgz"):
            assert len(bucket.downloads(BUCKET, f"{BUILD}/{name}")) == 1
            served = server.ask(f"/static/{BUILD}/{name}")
            assert served.body == CONTENT[name]


def staging(reply: Reply) -> int:
    """Read from a report of health how many wait for something that is staged."""
    count: int = json.loads(reply.body)["staging_thread_count"]
    return count


def test_a_server_killed_while_it_stages_serves_nothing_half_and_completes_later(
    bucket: BucketServer, tmp_path: Path
) -> None:
    gate = bucket.fail(Rule(path=f"{PAYLOAD}$", query="alt=media", stall=2000))
    options = ("--storage_endpoint", bucket.endpoint)
    with running(tmp_path, *options) as first:
        assert first.ask(f"{STAGE}&async=True").body == b"Success"
        gate.wait()
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    gate.release()
    with running(tmp_path, *options) as second:
        assert f"{BUILD}/{PAYLOAD}" not in visible(tmp_path / "static")
        assert second.ask(f"/static/{BUILD}/{PAYLOAD}").status == 404
        asked = f"/is_staged?archive_url={SOURCE}&artifacts=full_payload"
        assert second.ask(asked).body == b"False"
        assert second.ask(STAGE).body == b"Success"
        assert second.ask(asked).body == b"True"
        assert second.ask(f"/static/{BUILD}/{PAYLOAD}").body == CONTENT[PAYLOAD]


def test_a_private_bucket_is_staged_with_the_key_of_a_service_account(
    bucket: BucketServer, tmp_path: Path
) -> None:
    bucket.bucket("private", public=False)
    bucket.put("private", "eve-release/R1-1.0.0/stateful.tgz", b"for us")
    bucket.token("lab@example.com", roles={"private": "roles/storage.objectViewer"})
    asked = "/stage?archive_url=gs://private/eve-release/R1-1.0.0&artifacts=stateful"
    options = ("--storage_endpoint", bucket.endpoint)
    with running(tmp_path, *options) as anonymous:
        refused = anonymous.ask(asked)
        assert refused.status == 502 and "--credentials" in refused.sentence
    key = key_file(tmp_path, bucket.endpoint, "lab@example.com")
    with running(tmp_path, *options, "--credentials", str(key)) as server:
        assert server.ask(asked).body == b"Success"
        assert server.ask("/static/eve-release/R1-1.0.0/stateful.tgz").body == b"for us"
        assert "PRIVATE KEY" not in server.log and "Bearer" not in server.log
    assert len([one for one in bucket.requests if one.path == "/token"]) == 1
    stranger = key_file(tmp_path, bucket.endpoint, "stranger@example.com")
    with running(tmp_path, *options, "--credentials", str(stranger), "--clear_cache") as server:
        refused = server.ask(asked.replace("R1-1.0.0", "R2-1.0.0"))
        assert refused.status == 502 and "account not found)" in refused.sentence


def test_a_web_server_is_asked_where_that_was_allowed(bucket: BucketServer, tmp_path: Path) -> None:
    build = f"{BUCKET}/{BUILD}"
    fill(bucket, "another/R1-1.0.0")
    with running(tmp_path, "--web_source", f"{bucket.endpoint}/{BUCKET}/eve-release") as server:
        asked = f"/stage?archive_url={bucket.endpoint}/{build}&artifacts=stateful"
        assert server.ask(asked).body == b"Success"
        assert server.ask(f"/static/{build}/stateful.tgz").body == CONTENT["stateful.tgz"]
        count = len(bucket.requests)
        refused = server.ask(asked.replace(BUILD, "another/R1-1.0.0"))
        assert refused.status == 403 and "--web_source" in refused.sentence
        assert len(bucket.requests) == count
