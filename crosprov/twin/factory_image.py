"""A stand-in for the image of the ChromiumOS factory server, made of busybox.

It has the image's name, its environment variables, its commands (`uwsgi`, `nginx`,
`umpired`, and `python` for Dome's one-shot containers), and answers on the ports on which
they answer: Dome's GET / and GET /info on 80, Umpire's GET / on 8080. Without a running
`uwsgi` in the shared /run, `nginx` answers 502, as the original does.

Not imitated: Dome's projects, accounts, files and tokens (every other path is 404, every
other method 501), its database, Umpire's RPCs, bundles and other ports, Instalog, DKPS,
Overlord, and the Docker client inside, so that Dome never starts an Umpire by itself.

`python -m crosprov.twin.factory_image ARCHIVE` writes the archive, from the root file system
of this machine's twins, which it builds when there is none.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import platform
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from crosprov.errors import TwinError
from crosprov.twin.files import write_whole
from crosprov.twin.requirements import why_not
from crosprov.twin.rootfs import CACHE, ensure

NAME = "cros/factory_server:latest"
GITHASH = "adb3ce0000000000000000000000000000000000"
TIMESTAMP = "20230616101859"

_APPLETS = (
    *("cat", "chmod", "cp", "date", "echo", "env", "grep", "httpd", "id", "kill", "ls"),
    *("mkdir", "mv", "nc", "printf", "ps", "pwd", "rm", "sed", "sh", "sleep", "stat"),
    *("tail", "test", "touch", "tr", "true", "false", "uname", "wget"),
)
_DIRECTORIES = (
    *("bin", "etc", "run", "tmp", "tmp/shared", "usr", "usr/bin", "usr/sbin", "usr/local"),
    *("usr/local/factory", "usr/local/factory/bin", "usr/local/factory/py"),
    *("usr/local/factory/py/dome", "var", "var/db", "var/db/factory", "var/log"),
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_WORKDIR = "/usr/local/factory/py/dome"

# uwsgi makes the socket that nginx looks for, in the /run which the containers share.
_UWSGI = """\
#!/bin/sh
trap 'rm -f /run/dome.sock; exit 0' TERM INT
touch /run/dome.sock
echo "uwsgi: serving Dome's stand-in at /run/dome.sock"
while :; do sleep 3600 & wait $!; done
"""

_LISTEN = """\
#!/bin/sh
trap 'kill $!; exit 0' TERM INT
nc -ll -p {port} -e {answer} &
wait $!
"""

# Common to both answers: read one request, know $method and $path, write one reply.
_REPLY = """\
#!/bin/sh
read -r method path _ || exit 0
while read -r line && [ "${line%?}" ]; do :; done
reply() {
    printf 'HTTP/1.0 %s\\r\\nContent-Type: %s\\r\\nContent-Length: %s\\r\\n\\r\\n%s' \\
        "$1" "$2" "${#3}" "$3"
    exit 0
}
case $method in
    GET | HEAD) ;;
    *) reply '501 Not Implemented' text/plain 'This stand-in only answers GET.' ;;
esac
"""

_DOME = (
    _REPLY
    + """\
[ -e /run/dome.sock ] || reply '502 Bad Gateway' text/plain 'uwsgi does not run.'
local=false
[ "$DOCKER_IMAGE_ISLOCAL" = 0 ] || local=true
case $path in
    /) reply '200 OK' text/html '<!doctype html><title>Dome</title>' ;;
    /info | /info.json) reply '200 OK' application/json "{\
\\"dockerImageGithash\\": \\"$DOCKER_IMAGE_GITHASH\\", \
\\"dockerImageIslocal\\": $local, \
\\"dockerImageTimestamp\\": \\"$DOCKER_IMAGE_TIMESTAMP\\", \
\\"dockerImageLatestVersion\\": \\"$DOCKER_IMAGE_TIMESTAMP\\", \
\\"isDevServer\\": false}" ;;
    *) reply '404 Not Found' text/plain 'This stand-in has no such page.' ;;
esac
"""
)

_UMPIRE = (
    _REPLY
    + """\
case $path in
    /) reply '200 OK' text/html "<!doctype html><title>Umpire $UMPIRE_PROJECT_NAME</title>" ;;
    *) reply '404 Not Found' text/plain 'This stand-in has no such page.' ;;
esac
"""
)

# Dome's one-shot containers run Django's manage.py; a stand-in has nothing to migrate.
_PYTHON = """\
#!/bin/sh
case ${1:-} in
    manage.py | */manage.py) echo "manage.py ${2:-}: nothing to do in this stand-in" ;;
    *)
        echo "python: this stand-in only knows manage.py" >&2
        exit 1
        ;;
esac
"""

_SCRIPTS = {
    "usr/bin/python": _PYTHON,
    "usr/bin/python3": _PYTHON,
    "usr/bin/uwsgi": _UWSGI,
    "usr/sbin/dome-answer": _DOME,
    "usr/sbin/nginx": _LISTEN.format(port=80, answer="/usr/sbin/dome-answer"),
    "usr/local/factory/bin/umpire-answer": _UMPIRE,
    "usr/local/factory/bin/umpired": _LISTEN.format(
        port=8080, answer="/usr/local/factory/bin/umpire-answer"
    ),
}


def build(
    archive: Path, rootfs: Path, *, githash: str = GITHASH, timestamp: str = TIMESTAMP
) -> None:
    """Write an archive that `docker load` reads, the same bytes for the same arguments.

    Compressed with xz when the name ends in .txz or .xz, as the original's does.
    `rootfs` is a twin's root file system, whose static busybox becomes the image's.
    `timestamp` has 14 digits, `githash` 40 hex digits. Raises TwinError when there is no
    busybox.
    """
    busybox = rootfs / "usr/bin/busybox"
    if not busybox.is_file():
        raise TwinError(f"{rootfs} has no busybox to make the factory server's image from")
    layer = _layer(busybox.read_bytes())
    layer_digest = hashlib.sha256(layer).hexdigest()
    config = _json(_config(layer_digest, githash, timestamp))
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    layer_name = f"{layer_digest}/layer.tar"
    manifest = [{"Config": config_name, "RepoTags": [NAME], "Layers": [layer_name]}]
    data = _tar(
        {config_name: config, layer_name: layer, "manifest.json": _json(manifest)}, mode=0o644
    )
    write_whole(archive, lzma.compress(data) if archive.suffix in (".txz", ".xz") else data)


def _config(layer_digest: str, githash: str, timestamp: str) -> dict[str, object]:
    variables = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DOCKER_IMAGE_GITHASH": githash,
        "DOCKER_IMAGE_TIMESTAMP": timestamp,
        "DOCKER_IMAGE_ISLOCAL": "0",
        "IN_CROS_FACTORY_SERVER_CONTAINER": "1",
    }
    created = "1970-01-01T00:00:00Z"
    environment = [f"{name}={value}" for name, value in variables.items()]
    return {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": created,
        "config": {"Env": environment, "WorkingDir": _WORKDIR, "Cmd": ["/bin/sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": created, "created_by": "crosprov"}],
    }


def _layer(busybox: bytes) -> bytes:
    files: dict[str, bytes] = {"bin/busybox": busybox}
    files |= {path: text.encode() for path, text in _SCRIPTS.items()}
    links = {f"bin/{applet}": "busybox" for applet in _APPLETS}
    return _tar(files, links=links, directories=_DIRECTORIES, mode=0o755)


def _tar(
    files: Mapping[str, bytes],
    *,
    mode: int,
    links: Mapping[str, str] | None = None,
    directories: tuple[str, ...] = (),
) -> bytes:
    """Return an archive whose bytes depend on its content alone: no times, owners or order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in directories:
            tar.addfile(_member(path, tarfile.DIRTYPE, 0o1777 if path == "tmp" else 0o755))
        for path, data in sorted(files.items()):
            member = _member(path, tarfile.REGTYPE, mode)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for path, to in sorted((links or {}).items()):
            member = _member(path, tarfile.SYMTYPE, 0o777)
            member.linkname = to
            tar.addfile(member)
    return buffer.getvalue()


def _member(path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(str(PurePosixPath(path)))
    member.type = kind
    member.mode = mode
    return member


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()


def _main(arguments: Sequence[str]) -> str | None:
    """Write an archive to the one path given; return what is wrong, in a sentence."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        return "usage: python -m crosprov.twin.factory_image ARCHIVE"
    if reason := why_not():
        return f"error: the image is made from a twin's root file system: {reason}"
    try:
        build(Path(arguments[0]), ensure(CACHE, _tell))
    except TwinError as error:
        return f"error: {error.message}"
    except OSError as error:
        return f"error: {arguments[0]} cannot be written: {error.strerror}"
    return None


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
