from __future__ import annotations

import pytest

from crosprov.errors import HostSilent, NoPrivilege
from crosprov.transport.base import Completed, Transport
from crosprov.transport.fake import FakeTransport, Sent


def test_a_callable_answers_and_all_is_recorded() -> None:
    fake = FakeTransport(lambda sent: Completed(1, sent.stdin, b"err"))
    transport: Transport = fake
    seen: list[bytes] = []
    done = transport.run("cat", stdin=b"in", timeout=3, on_stdout=seen.append)
    assert done == Completed(1, b"in", b"err")
    assert fake.sent == [Sent("cat", b"in", 3)]
    assert seen == [b"in"]
    assert transport.round_trips == 1


def test_what_the_callable_raises_the_transport_raises() -> None:
    def refuse(sent: Sent) -> Completed:
        raise NoPrivilege("host1", "no root")

    with pytest.raises(NoPrivilege):
        FakeTransport(refuse).run("true")


def test_a_closed_fake_is_silent() -> None:
    fake = FakeTransport()
    fake.close()
    with pytest.raises(HostSilent):
        fake.run("true")


def test_without_a_dial_every_connection_is_refused() -> None:
    with pytest.raises(ConnectionRefusedError):
        FakeTransport().open_tcp("192.0.2.1", 80)
