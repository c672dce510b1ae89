"""What is said of a service that does not answer."""

from __future__ import annotations

from crosprov.execution.readiness import answer
from crosprov.planning.plan import Readiness
from crosprov.transport.fake import FakeTransport


def test_a_port_that_takes_no_connection_is_said_in_plain_words() -> None:
    assert answer(Readiness(port=8000, path="/"), FakeTransport()) == "it takes no connection"
