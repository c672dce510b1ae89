"""Receive files, digest them with both of today's hashes, and write them: nothing else.

    python -m bench.mirror_floor http://127.0.0.1:8000/files NAMES FOLDER

What a sync does besides (names, proofs, a ledger, durable files, several upstreams, faults) is left
out, so no sync in Python that checks what it receives can be faster on the same processors.
"""

from __future__ import annotations

import mmap
import os
import sys
import threading
from hashlib import blake2b, sha512
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

JOBS = 8
BLOCK = 1 << 20  # bytes
PAGE = 4096  # bytes


def main() -> int:
    """Fetch all files that a list names, several at a time."""
    base, names, folder = urlsplit(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    wanted = names.read_text().split()

    def work() -> None:
        connection = HTTPConnection(base.netloc)
        block = memoryview(mmap.mmap(-1, BLOCK))
        while wanted:
            name = wanted.pop()
            connection.request("GET", f"{base.path}/{name}")
            _save(connection.getresponse(), folder / name, block)

    threads = [threading.Thread(target=work) for _ in range(JOBS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 0


def _save(answer: HTTPResponse, path: Path, block: memoryview) -> None:
    left, digests = answer.length or 0, (blake2b(), sha512())
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_DIRECT)
    size = left
    while left:
        filled = 0
        while filled < min(BLOCK, left):
            filled += answer.fp.readinto1(block[filled : min(BLOCK, left)])
        for digest in digests:
            digest.update(block[:filled])
        os.write(number, block[: -(-filled // PAGE) * PAGE])
        left -= filled
    os.ftruncate(number, size)
    os.close(number)
    answer.length = 0
    answer.read()


if __name__ == "__main__":
    sys.exit(main())
