"""The health report: room on the disk, and what the machine is busy with. It reads /proc only."""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from crosprov.devserver.failures import Refused

GIGABYTE = 1000**3
SECTOR = 512  # bytes, the unit of /proc/diskstats whatever the disk
SHORTEST = 0.5  # seconds between two looks at the counters

# Helpers of the ChromiumOS dev server that this one does not have: nothing of them ever runs.
NEVER_STARTED = ("apache_client_count", "telemetry_test_count", "gsutil_count", "au_process_count")


@dataclass(frozen=True, slots=True)
class Counters:
    """What the machine did since it started: bytes, and ticks of its processors."""

    at: float
    disk_read: int = 0
    disk_write: int = 0
    network_sent: int = 0
    network_recv: int = 0
    busy: int = 0
    ticks: int = 0


@dataclass
class Health:
    """Report with the keys of the ChromiumOS dev server; rates are those since the last report.

    `staging` counts the calls under way that may take long.
    """

    static_dir: Path
    staging: int = 0
    proc: Path = Path("/proc")
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: Counters | None = None
    _rates: dict[str, float] = field(default_factory=dict)

    def report(self) -> dict[str, float]:
        """Give numbers by name. Raises Refused 503 when the static folder cannot be read."""
        try:
            free = shutil.disk_usage(self.static_dir).free
        except OSError as error:
            raise Refused(503, f"static_dir cannot be read: {error.strerror}") from None
        return {
            "free_disk": round(free / GIGABYTE, 3),
            "staging_thread_count": self.staging,
            **dict.fromkeys(NEVER_STARTED, 0),
            **self._measured(),
        }

    def _measured(self) -> dict[str, float]:
        with self._lock:
            now = counters(self.proc)
            if self._last is None:
                self._last, self._rates = now, rates(now, now)
            elif now.at - self._last.at >= SHORTEST:
                self._rates, self._last = rates(self._last, now), now
            return self._rates


def rates(before: Counters, after: Counters) -> dict[str, float]:
    """Give bytes per second and the share of the processors' time between two looks."""
    seconds = max(after.at - before.at, 1e-9)

    def rate(name: str) -> float:
        change: int = getattr(after, name) - getattr(before, name)
        return round(max(change, 0) / seconds, 1)

    found = {
        f"{name}_bytes_per_second": rate(name)
        for name in ("disk_read", "disk_write", "network_sent", "network_recv")
    }
    for kind, parts in (("disk", ("read", "write")), ("network", ("sent", "recv"))):
        total = sum(found[f"{kind}_{part}_bytes_per_second"] for part in parts)
        found[f"{kind}_total_bytes_per_second"] = round(total, 1)
    ticks = after.ticks - before.ticks
    found["cpu_percent"] = round(100 * (after.busy - before.busy) / ticks, 1) if ticks > 0 else 0.0
    return found


def counters(proc: Path) -> Counters:
    """Look at the machine's counters; what it does not have is zero."""
    read, written = _disks(proc / "diskstats")
    received, sent = _network(proc / "net" / "dev")
    busy, ticks = _processors(proc / "stat")
    return Counters(time.monotonic(), read, written, sent, received, busy, ticks)


def _lines(path: Path) -> list[list[str]]:
    try:
        return [line.split() for line in path.read_text().splitlines()]
    except (OSError, UnicodeError):
        return []


def _disks(path: Path) -> tuple[int, int]:
    """Sum whole disks: a partition is named after its disk, and counted in it."""
    found: dict[str, tuple[int, int]] = {}
    for words in _lines(path):
        name = words[2] if len(words) > 9 else ""
        if not name or name.startswith(("loop", "ram", "dm-", "md")):
            continue
        if not any(name != disk and name.startswith(disk) for disk in found):
            found[name] = int(words[5]) * SECTOR, int(words[9]) * SECTOR
    return sum(read for read, _ in found.values()), sum(written for _, written in found.values())


def _network(path: Path) -> tuple[int, int]:
    received = sent = 0
    for words in _lines(path)[2:]:
        name, _, first = "".join(words[:1]).partition(":")
        numbers = ([first] if first else []) + words[1:]
        if name != "lo" and len(numbers) > 8:
            received, sent = received + int(numbers[0]), sent + int(numbers[8])
    return received, sent


def _processors(path: Path) -> tuple[int, int]:
    words = next(iter(_lines(path)), [])
    ticks = [int(word) for word in words[1:9]]
    idle = sum(ticks[3:5])  # idle, and waiting for a disk
    return sum(ticks) - idle, sum(ticks)
