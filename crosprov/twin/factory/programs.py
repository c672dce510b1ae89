"""The image's second layer: the programs of the stand-in, by the original's names."""

from __future__ import annotations

from pathlib import Path

PACKAGES = "usr/local/factory/py_pkg"
DOME = "usr/local/factory/py/dome"
OVERLORD = "usr/local/factory/bin/overlord"

_HERE = Path(__file__).parent
_OURS = "crosprov/twin/factory"
_THIS_SIDE = frozenset(
    {"__init__.py", "__main__.py", "archive.py", "image.py", "interpreter.py", "programs.py"}
    | {"script.py"}
)

DIRECTORIES = {
    path: 0o1777 if path == "tmp" else 0o755
    for path in (
        *("dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "tmp/shared", "usr"),
        *("usr/local", "usr/local/bin", "usr/local/factory", "usr/sbin", "usr/local/factory/bin"),
        *("var", "var/db", "var/db/factory", "var/db/factory/dome", "var/db/factory/umpire"),
        *("var/log", "var/log/dome", "var/log/multicast", "var/tftp"),
        *(PACKAGES, "usr/local/factory/py", "usr/local/factory/py/multicast", DOME, OVERLORD),
        f"{OVERLORD}/config",
    )
}

_PROGRAM = '#!/bin/sh\nexec python3 -m crosprov.twin.factory.{module} "$@"\n'
_WAITING = "#!/bin/sh\ntrap 'exit 0' TERM INT\nwhile :; do sleep 3600 & wait $!; done\n"
_SETUP = "#!/bin/sh\necho 'This stand-in makes no certificate.' >&2\nexit 1\n"
_MANAGE = """\
import sys

from crosprov.twin.factory.dome.manage import main

sys.exit(main(sys.argv[1:]))
"""
_INI = """\
[uwsgi]
module = backend.wsgi
processes = 1
socket = /run/dome.sock
die-on-term = true
"""
_FROM_MODELS = "from crosprov.twin.factory.dome.models import {names}\n\n__all__ = [{quoted}]\n"


def files() -> dict[str, bytes]:
    """Return the content of each file of the layer, by its path from the root."""
    texts = {
        "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
        "etc/group": "root:x:0:\n",
        "usr/bin/uwsgi": _PROGRAM.format(module="dome.uwsgi"),
        "usr/sbin/nginx": _PROGRAM.format(module="dome.nginx"),
        "usr/sbin/dnsmasq": _WAITING,
        "usr/local/factory/bin/umpired": _PROGRAM.format(module="umpire.umpired"),
        "usr/local/factory/py/multicast/server.py": _WAITING,
        f"{OVERLORD}/setup.sh": _SETUP,
        f"{DOME}/manage.py": _MANAGE,
        f"{DOME}/uwsgi.ini": _INI,
        f"{OVERLORD}/overlordd": _PROGRAM.format(module="overlord"),
        f"{OVERLORD}/overlord_lan_disc": _PROGRAM.format(module="overlord_discovery"),
        **_shims(),
    }
    ours = {
        f"{PACKAGES}/{_OURS}/{path.relative_to(_HERE)}": path.read_bytes()
        for path in sorted(_HERE.rglob("*.py"))
        if path.name not in _THIS_SIDE or path.parent != _HERE
    }
    packages = ("crosprov", "crosprov/twin", _OURS)
    empty = {f"{PACKAGES}/{package}/__init__.py": b"" for package in packages}
    return {path: text.encode() for path, text in texts.items()} | ours | empty


def _shims() -> dict[str, str]:
    """Return the modules by whose names programs know Django and Dome."""
    auth = f"{PACKAGES}/django/contrib/auth"
    empty = (f"{PACKAGES}/django/contrib/__init__.py",)
    return dict.fromkeys(empty, "") | {
        f"{PACKAGES}/django/__init__.py": "def setup():\n    return None\n",
        f"{auth}/__init__.py": _models("authenticate", "get_user_model"),
        f"{auth}/models.py": _models("User"),
        f"{auth}/hashers.py": _models("check_password", "make_password"),
        f"{DOME}/backend/__init__.py": "from backend import models\n",
        f"{DOME}/backend/models.py": _models("TemporaryUploadedFile"),
        f"{DOME}/backend/settings.py": "",
    }


def _models(*names: str) -> str:
    quoted = ", ".join(f'"{name}"' for name in names)
    return _FROM_MODELS.format(names=", ".join(names), quoted=quoted)
