"""Run the server from the command line, until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from .faults import read_rules
from .server import BucketServer, seed


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bucket", description="Serve folders as buckets.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--portfile", type=Path, help="file to write the port to, when ready")
    parser.add_argument("--seed", type=Path, metavar="DIR", help="each folder in it is a bucket")
    parser.add_argument(
        "--private",
        action="append",
        default=[],
        metavar="BUCKET",
        help="a seeded one that is not public",
    )
    parser.add_argument("--faults", type=Path, metavar="FILE", help="JSON list of rules")
    parser.add_argument(
        "--writable", action="store_true", help="let anybody write in the seeded buckets"
    )
    parser.add_argument(
        "--token", action="append", default=[], metavar="TOKEN=EMAIL", help="an owner's token"
    )
    return parser.parse_args()


def _prepare(server: BucketServer, words: argparse.Namespace) -> None:
    for rule in read_rules(words.faults) if words.faults else []:
        server.fail(rule)
    if words.seed:
        seed(server, words.seed, words.private)
    for bucket in server.store.buckets if words.writable else ():
        server.grant(bucket, "roles/storage.objectAdmin", "allUsers")
    for word in words.token:
        token, equals, email = word.partition("=")
        if not equals:
            raise ValueError(f"--token {word}: write TOKEN=EMAIL")
        server.token(email, project="owner", token=token)


def main() -> int:
    """Serve until a signal comes; return the exit status."""
    words = _words()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with tempfile.TemporaryDirectory(prefix="bucket-") as folder:
        server = BucketServer(Path(folder), words.host, words.port)
        try:
            _prepare(server, words)
            if words.portfile:
                part = words.portfile.with_name(words.portfile.name + ".part")
                part.write_text(f"{server.port}\n")
                os.replace(part, words.portfile)
            ended.wait()
        except (OSError, ValueError) as error:
            sys.stderr.write(f"bucket: {error}\n")
            return 1
        finally:
            server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
