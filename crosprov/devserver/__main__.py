"""The program: `python -m crosprov.devserver OPTIONS`."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path
from typing import Any

import uvicorn

from crosprov.devserver.aliases import SHADOW
from crosprov.devserver.app import create_app
from crosprov.devserver.assembly import assemble
from crosprov.devserver.failures import Refused
from crosprov.devserver.options import IDLE, Options, options_of
from crosprov.devserver.rpc import Server
from crosprov.devserver.serving import PATIENCE, Protocol

LEAVING = 5  # seconds that downloads have to end once the server is told to
KEPT_IN_CACHE = 12  # entries, as the ChromiumOS dev server keeps
DESCRIPTORS = 65536  # each connection holds one, and each download two more

log = logging.getLogger("crosprov.devserver")


def main(words: Sequence[str] | None = None, program: str = "devserver") -> int:
    """Run the dev server until it is told to stop; gives the exit status."""
    options = options_of(sys.argv[1:] if words is None else words, program)
    try:
        _log_to(options.logfile)
        return _run(_completed(options))
    except Refused as refused:
        return _told(program, refused.sentence)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        return _told(program, f"{place}{error.strerror or error}")


def _told(program: str, sentence: str) -> int:
    sys.stderr.write(f"{program}: {sentence}\n")
    return 1


def _completed(options: Options) -> Options:
    """Make the static folder, and find the shadow configuration beside it."""
    static_dir = Path(os.path.abspath(options.static_dir))
    static_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(static_dir, os.W_OK | os.X_OK):
        raise Refused(500, f"{static_dir} is not writable; name another folder by --static_dir")
    shadow = options.xbuddy_config
    beside = static_dir.parent / SHADOW
    if shadow is None and beside.is_file():
        shadow = beside
    return replace(options, static_dir=static_dir, xbuddy_config=shadow)


def _run(options: Options) -> int:
    listener = None if options.exit else _listener(options.host, options.port)
    server = assemble(options)
    try:
        _prepare(server)
    except BaseException:
        server.stager.close()
        raise
    if listener is None:
        server.stager.close()
        return 0
    app = create_app(server)
    with listener, _files(options, listener):
        _serve(uvicorn.Config(app, http=Protocol, lifespan="on", **_SETTINGS), listener)
    _leave()
    return 0


def _prepare(server: Server) -> None:
    """Do the work of the start."""
    options = server.options
    for name in options.idle:
        log.warning("%s does nothing here: %s", name, IDLE[name.removeprefix("--")])
    cache = server.layout.static_dir / "cache"
    cache.mkdir(exist_ok=True)
    entries = sorted(cache.iterdir(), key=lambda path: path.lstat().st_mtime, reverse=True)
    for entry in entries[0 if options.clear_cache else KEPT_IN_CACHE :]:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    server.updates.prepare()


# --- serving --------------------------------------------------------------------------------

_SETTINGS: dict[str, Any] = {
    "ws": "none",
    "access_log": False,
    "log_config": None,
    "proxy_headers": False,
    "server_header": False,
    "headers": [("server", "crosprov-devserver")],
    "timeout_keep_alive": int(PATIENCE),
    "timeout_graceful_shutdown": LEAVING,
    "backlog": 1024,
}


def _serve(config: uvicorn.Config, listener: socket.socket) -> None:
    _raise_limit()
    server = uvicorn.Server(config)

    def stop(number: int, frame: object) -> None:
        server.should_exit = True

    # uvicorn raises a signal once more when it has ended by it; that one finds these here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("serving on port %d", listener.getsockname()[1])
    server.run(sockets=[listener])


def _raise_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listener(host: str, port: int) -> socket.socket:
    """Listen; without a host on all addresses, of IPv4 too. Raises Refused with the reason."""
    family, address = _family(host)
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only_v6 = address != "::"
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_v6)
        listener.bind((address, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise Refused(500, f"port {port} of {host or 'this host'}: {error.strerror}") from None
    listener.set_inheritable(False)
    return listener


def _family(host: str) -> tuple[socket.AddressFamily, str]:
    if host:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Refused(500, f"--host {host}: {error.strerror}") from None
        return found[0][0], str(found[0][4][0])
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::", 0))
    except OSError:
        return socket.AF_INET, "0.0.0.0"
    return socket.AF_INET6, "::"


@contextmanager
def _files(options: Options, listener: socket.socket) -> Iterator[None]:
    """Write the process id and the port, each file whole at once; remove them at the end."""
    wanted = {options.pidfile: os.getpid(), options.portfile: listener.getsockname()[1]}
    written: list[Path] = []
    try:
        for path, number in wanted.items():
            if path is not None:
                fresh = path.with_name(f".{path.name}.{os.getpid()}")
                fresh.write_text(f"{number}\n")
                os.replace(fresh, path)
                written.append(path)
        yield
    finally:
        for path in written:
            path.unlink(missing_ok=True)


def _leave() -> None:
    """End at once when a thread is still at work: the next start finds what it left undone."""
    logging.shutdown()
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if any(not thread.daemon for thread in others):
        sys.stdout.flush()
        os._exit(0)


def _log_to(logfile: Path | None) -> None:
    handler: logging.Handler
    if logfile is None:
        handler = logging.StreamHandler(sys.stdout)
    else:
        handler = TimedRotatingFileHandler(logfile, when="H", interval=12, backupCount=28)
    line = "%(asctime)s %(levelname)s %(name)s: %(message)s"
    logging.basicConfig(handlers=[handler], format=line, level=logging.INFO, force=True)
    for chatty in ("urllib3", "google", "asyncio", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
