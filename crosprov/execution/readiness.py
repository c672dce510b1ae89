"""Ask a host's own services whether they are ready, through its connection."""

from __future__ import annotations

import time
from collections.abc import Callable

from crosprov.errors import HostError
from crosprov.planning.plan import HostPlan, Readiness
from crosprov.transport.base import Transport

_PAUSE = 0.5  # seconds between two questions
_LONGEST_HEAD = 4096  # bytes; the status stands in the first line


def wait_until_ready(
    plan: HostPlan, transport: Transport, *, within: float = 60.0, waiting: Callable[[str], None]
) -> None:
    """Return when all readiness questions of a host are answered as they should be.

    The services answer on the host's own loopback, so what SSH reaches is enough. `within`
    is in seconds. Raises HostError with the last answer when it passes.
    """
    deadline = time.monotonic() + within
    for question in plan.readiness:
        said = answer(question, transport)
        while said is not None:
            if time.monotonic() > deadline:
                raise HostError(
                    plan.host, f"it is not ready after {within:.0f} s: {question}: {said}",
                    hint="what needs this host was left untouched",
                )  # fmt: skip
            waiting(str(question))
            time.sleep(_PAUSE)
            said = answer(question, transport)


def answer(question: Readiness, transport: Transport) -> str | None:
    """Ask once; None when the answer is right, else what came instead."""
    try:
        channel = transport.open_tcp("127.0.0.1", question.port)
    except OSError as error:
        if "prohibited" in str(error):
            return _ask_there(question, transport)
        return "it takes no connection"
    try:
        request = f"GET {question.path} HTTP/1.0\r\nHost: 127.0.0.1:{question.port}\r\n\r\n"
        channel.sendall(request.encode())
        head = b""
        while b"\r\n" not in head and len(head) < _LONGEST_HEAD:
            piece = channel.recv(1024)
            if not piece:
                break
            head += piece
    except OSError as error:
        return f"no answer ({error})"
    finally:
        channel.close()
    return _judge(head.split(b"\r\n")[0].decode("latin-1"), question)


def _ask_there(question: Readiness, transport: Transport) -> str | None:
    """Ask with what the host has, where its sshd forwards no connections."""
    url = f"http://127.0.0.1:{question.port}{question.path}"
    done = transport.run(
        f"curl -s -o /dev/null -w 'HTTP/1.1 %{{http_code}}' '{url}' || "
        f"wget -q -O /dev/null '{url}' && echo 'HTTP/1.1 {question.status}'",
        timeout=15.0,
    )
    return _judge(done.stdout.decode("latin-1").splitlines()[-1:] or [""], question)


def _judge(line: str | list[str], question: Readiness) -> str | None:
    text = line if isinstance(line, str) else line[0]
    words = text.split(" ", 2)
    if len(words) > 1 and words[0].startswith("HTTP/") and words[1] == str(question.status):
        return None
    return f"it answered `{text}`" if text else "it closed the connection without an answer"
