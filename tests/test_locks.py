from __future__ import annotations

import threading
from pathlib import Path

from crosprov.locks import locked


def test_a_second_holder_waits_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waited = threading.Event()
    order: list[str] = []

    def second() -> None:
        with locked(path, on_wait=waited.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        assert waited.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_lock_that_was_removed_by_its_holder_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    waited, entered = threading.Event(), threading.Event()

    def second() -> None:
        with locked(path, on_wait=waited.set):
            assert path.exists()
            entered.set()

    thread = threading.Thread(target=second)
    with locked(path):
        thread.start()
        assert waited.wait(10)
        path.unlink()
        path.parent.rmdir()
    thread.join(10)
    assert entered.is_set()
