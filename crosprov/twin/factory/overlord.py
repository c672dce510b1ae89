"""The stand-in for Overlord's daemon, `overlordd`.

It takes the original's flags and variables and serves https. It compares passwords with a file
of bcrypt hashes and, as the original does, asks nobody for one when that file is missing, takes no
notice of hashes other than `$2a$` and `$2y$`, and shuts out an address for a day after five wrong
passwords.

Not imitated: agents (the list of them is always empty, and what connects to their port is only
read), the web pages, and everything else of the interface, which is 404.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import ctypes
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import NoReturn

AGENT_PORT = int(os.environ.get("OVERLORD_PORT", "4455"))
HTTP_PORT = int(os.environ.get("OVERLORD_HTTP_PORT", "9000"))

_FAILURES = 5
_BLOCKED_FOR = 24 * 60 * 60.0  # seconds
_LISTS = {"/api/agents/list": b"[]", "/api/apps/list": b'{"apps": []}', "/api/logcats/list": b"[]"}


class Accounts:
    """The accounts of a password file, and the addresses that guessed too often."""

    def __init__(self, file: Path) -> None:
        self.asked = file.is_file()
        lines = file.read_text().splitlines() if self.asked else []
        pairs = [line.split(":") for line in lines if not line.startswith("#")]
        self._hashes = {
            pair[0]: pair[1]
            for pair in pairs
            if len(pair) == 2 and pair[1].startswith(("$2a$", "$2y$"))
        }
        self._failed: dict[str, int] = {}
        self._blocked: dict[str, float] = {}
        self._crypt = _crypt_of_the_system()
        self._lock = threading.Lock()  # crypt(3) has one buffer for all threads

    def admit(self, header: str, address: str) -> bool:
        """Tell whether a request with this Authorization header may pass."""
        with self._lock:
            if not self.asked:
                return True
            if time.monotonic() - self._blocked.get(address, -_BLOCKED_FOR) < _BLOCKED_FOR:
                return False
            try:
                text = base64.b64decode(header.removeprefix("Basic "), validate=True)
                user, known, password = text.decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return False
            if not (header and known):
                return False
            if self._right(user, password):
                self._failed.pop(address, None)
                return True
            self._count(address)
            return False

    def _right(self, user: str, password: str) -> bool:
        known = self._hashes.get(user, "")
        return bool(known) and self._crypt(password.encode(), known.encode()) == known.encode()

    def _count(self, address: str) -> None:
        if address == "127.0.0.1":
            return
        self._failed[address] = self._failed.get(address, 0) + 1
        if self._failed[address] >= _FAILURES:
            self._blocked[address] = time.monotonic()
            _say(f"{address} is shut out for a day")


class _Handler(BaseHTTPRequestHandler):
    server: _Web

    def setup(self) -> None:
        self.request.settimeout(30)
        self.request.do_handshake()  # here, where a client that says nothing holds up nobody else
        super().setup()

    def do_GET(self) -> None:
        header = self.headers.get("Authorization", "")
        if not self.server.accounts.admit(header, self.client_address[0]):
            self._answer(HTTPStatus.UNAUTHORIZED, b"Unauthorized\n")
        elif self.path in _LISTS:
            self._answer(HTTPStatus.OK, _LISTS[self.path], "application/json")
        elif self.path == "/":
            self._answer(HTTPStatus.OK, b"<!doctype html><title>Overlord</title>", "text/html")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"This stand-in has no such page.\n")

    def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", "Basic realm=Overlord")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        _say(f"{self.client_address[0]} {format % args}")


class _Web(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, accounts: Accounts, context: ssl.SSLContext) -> None:
        super().__init__(("", port), _Handler)
        self.accounts = accounts
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    def handle_error(self, request: object, client_address: object) -> None:
        """Say what a connection broke off with, in one line."""
        _say(f"{client_address}: {sys.exception()}")


class _Agents(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Listener(BaseRequestHandler):
    """Read what an agent says until it hangs up."""

    def handle(self) -> None:
        while self.request.recv(4096):
            pass


def serve(certificate: Path, key: Path, accounts: Path) -> NoReturn:
    """Serve agents and web pages until the process ends; end with 1 when that cannot be."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
        agents = _Agents(("", AGENT_PORT), _Listener)
        web = _Web(HTTP_PORT, Accounts(accounts), context)
    except OSError as error:
        sys.exit(f"overlordd: cannot start: {error}")
    threading.Thread(target=agents.serve_forever, daemon=True).start()
    _say(f"HTTP server started, listening at :{HTTP_PORT}, TLS: enabled")
    web.serve_forever()
    sys.exit(0)


def _crypt_of_the_system() -> ctypes._NamedFuncPointer:
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.argtypes, crypt.restype = (ctypes.c_char_p, ctypes.c_char_p), ctypes.c_char_p
    return crypt


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str]) -> NoReturn:
    """Be `overlordd`, in its own folder; only its use with certificates is imitated."""
    parser = argparse.ArgumentParser(prog="overlordd", allow_abbrev=False)
    parser.add_argument("-tls", required=True)
    parser.add_argument("-htpasswd-path", default="app/overlord.htpasswd")
    parser.add_argument("-no-lan-disc", action="store_true")
    parser.add_argument("-update-interval-second", type=int, default=15)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # a first process ignores it otherwise
    certificate, _, key = given.tls.partition(",")
    serve(Path(certificate), Path(key), Path(given.htpasswd_path))


if __name__ == "__main__":
    main(sys.argv[1:])
