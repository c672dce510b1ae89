"""The dev server's command line, in one table: what it is called with, and what that does here."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

WRONG_USAGE = 2  # what the ChromiumOS dev server ends with as well
ARCHIVE = "gs://chromeos-image-archive"


@dataclass(frozen=True, slots=True)
class Options:
    """What the dev server was called with; paths are as they were written."""

    port: int = 8080
    host: str = ""  # "" is every address, of IPv4 and of IPv6
    static_dir: Path = Path("static")
    archive: str = ARCHIVE
    credentials: Path | None = None
    storage_endpoint: str | None = None
    web_source: tuple[str, ...] = ()
    capacity: int = 0
    xbuddy_config: Path | None = None
    logfile: Path | None = None
    pidfile: Path | None = None
    portfile: Path | None = None
    clear_cache: bool = False
    exit: bool = False
    production: bool = False
    infra_removal: bool = False
    image: Path | None = None
    src_image: Path | None = None
    pregenerate_update: bool = False
    payload_generator: str | None = None
    payload: Path | None = None
    use_cached: bool = False
    board: str | None = None
    critical_update: bool = False
    max_updates: int = -1
    proxy_port: int | None = None
    urlbase: str | None = None
    test_image: bool = False
    xbuddy_manage_builds: bool = False
    android_build_credential: Path | None = None

    @property
    def idle(self) -> tuple[str, ...]:
        """Name the options that were given and do nothing here, as they are written."""
        return tuple(f"--{name}" for name in IDLE if getattr(self, name))


# Accepted, so that a command line that works elsewhere works here: option -> why it does nothing.
IDLE = {
    "production": "many clients are served at once in any case",
    "test_image": "no image is looked for; builds are named by their label",
    "xbuddy_manage_builds": "only what lies below static_dir is looked after",
    "android_build_credential": "builds of Android are not staged",
}


def options_of(words: Sequence[str], program: str = "devserver") -> Options:
    """Read a command line.

    Raises SystemExit: 2 with a sentence on stderr when it is wrong, 0 after --help.
    """
    parser = _parser(program)
    found, rest = parser.parse_known_args(list(words))
    if rest:
        parser.error(_unknown(rest[0], parser))
    return Options(**{**vars(found), "web_source": tuple(found.web_source)})


class _Parser(argparse.ArgumentParser):
    """Say what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USAGE, f"{self.prog}: {message} (--help lists the options)\n")


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    if not word.startswith("-"):
        return f"the word {word!r} belongs to no option"
    name = word.partition("=")[0]
    near = get_close_matches(name, parser._option_string_actions, n=1)
    return f"there is no option {name}" + (f"; did you mean {near[0]}?" if near else "")


def _parser(program: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=program,
        description="Stage builds of ChromiumOS and serve them to devices.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    for title, options in _GROUPS.items():
        group = parser.add_argument_group(title)
        for names, settings in options:
            spelled = [
                way for name in names.split() for way in dict.fromkeys((name, _dashed(name)))
            ]
            group.add_argument(*spelled, **_with_default(names, settings))
    return parser


def _dashed(name: str) -> str:
    """Give the other spelling of an option, --static-dir for --static_dir."""
    return name[:2] + name[2:].replace("_", "-") if name.startswith("--") else name


def _with_default(names: str, settings: dict[str, Any]) -> dict[str, Any]:
    target = names.split()[-1].removeprefix("--")
    settings = {"dest": target, "default": getattr(Options(), target), **settings}
    if settings.get("action") != "store_true":
        settings.setdefault("metavar", "PATH" if settings.get("type") is Path else "WORD")
    return settings


def _number(least: int, most: int, what: str) -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{what} is a number from {least} to {most}")
        return number

    return read


def _url(*schemes: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not text.startswith(schemes) or text in schemes:
            raise argparse.ArgumentTypeError(f"{text!r} does not begin with {' or '.join(schemes)}")
        return text.rstrip("/")

    return read


_FLAG = {"action": "store_true"}
_PORT = _number(0, 65535, "a port")
_HTTP = _url("http://", "https://")
Group = list[tuple[str, dict[str, Any]]]

_SERVING: Group = [
    ("--port", {"type": _PORT, "metavar": "N",
        "help": "port to listen on, 0 for any free one (default 8080)"}),
    ("--host", {"metavar": "ADDRESS",
        "help": "address to listen on (default: all of the host, IPv4 and IPv6)"}),
    ("--static_dir", {"type": Path,
        "help": "folder of the builds, served below /static/; made when it is missing "
                "(default: static in the working directory)"}),
    ("--logfile", {"type": Path, "metavar": "FILE",
        "help": "log there, a new file every 12 hours, 28 are kept (default: standard output)"}),
    ("--pidfile", {"type": Path, "metavar": "FILE",
        "help": "holds the process id while the server runs"}),
    ("--portfile", {"type": Path, "metavar": "FILE",
        "help": "holds the port while the server runs; use it with --port 0"}),
    ("--exit", {**_FLAG,
        "help": "do the work of the start (--clear_cache, --pregenerate_update) and leave"}),
]  # fmt: skip

_STAGING: Group = [
    ("--archive", {"type": _url("gs://", "http://", "https://"), "metavar": "URL",
        "help": f"where builds that are named by a label are fetched from (default {ARCHIVE})"}),
    ("--credentials", {"type": Path, "metavar": "FILE",
        "help": "credentials of Google Storage: JSON of a service account or a user, or a boto "
                "file (default: anonymous)"}),
    ("--storage_endpoint", {"type": _HTTP, "metavar": "URL",
        "help": "another address of Google Storage's API"}),
    ("--web_source", {"type": _HTTP, "action": "append", "default": [], "metavar": "URL",
        "help": "a web server, or a folder of one, that clients may have builds fetched from; "
                "write it once for each (default: none but --archive)"}),
    ("--capacity", {"type": _number(0, 10**6, "the capacity"), "metavar": "N",
        "help": "keep N staged builds, the least recently used go first; 0 keeps all (default 0)"}),
    ("--clear_cache", {**_FLAG, "help": "empty static_dir/cache at the start"}),
    ("--xbuddy_config", {"type": Path, "metavar": "FILE",
        "help": "shadow configuration of xBuddy: its keys win over the built-in ones "
                "(default: shadow_xbuddy_config.ini in static_dir's parent, if there)"}),
    ("--infra_removal", {**_FLAG,
        "help": "answer only stage, is_staged, list_image_dir, update, check_health and static"}),
]  # fmt: skip

_UPDATES: Group = [
    ("--image", {"type": Path, "metavar": "FILE",
        "help": "serve this image to every device; needs --payload_generator"}),
    ("--src_image", {"type": Path, "metavar": "FILE",
        "help": "make a delta payload from this image to --image; without it a full one"}),
    ("-p --pregenerate_update", {**_FLAG,
        "help": "make the payload of --image before serving, not at the first request"}),
    ("--payload_generator", {"metavar": "COMMAND",
        "help": "command that makes payloads, such as cros_generate_update_payload"}),
    ("--payload", {"type": Path, "metavar": "FILE",
        "help": "answer every update request with this payload, whatever its label"}),
    ("--use_cached", {**_FLAG, "help": "the same with static_dir/update.gz"}),
    ("--board", {"metavar": "NAME",
        "help": "board of the latest build, for clients that name none"}),
    ("--critical_update", {**_FLAG, "help": "tell devices to update at once (deadline=now)"}),
    ("--max_updates", {"type": _number(-1, 10**9, "the limit"), "metavar": "N",
        "help": "offer an update N times, then none; -1 sets no limit (default -1)"}),
    ("--proxy_port", {"type": _number(1, 65535, "a port"), "metavar": "N",
        "help": "port in the URLs of payloads, where a proxy stands in front"}),
    ("-u --urlbase", {"type": _HTTP, "metavar": "URL",
        "help": "begin the URLs of payloads with this instead of http://HOST:PORT/static"}),
]  # fmt: skip

_ACCEPTED: Group = [
    ("--production", {**_FLAG, "help": IDLE["production"]}),
    ("-t --test_image", {**_FLAG, "help": IDLE["test_image"]}),
    ("-x --xbuddy_manage_builds", {**_FLAG, "help": IDLE["xbuddy_manage_builds"]}),
    ("-a --android_build_credential", {"type": Path, "metavar": "FILE",
        "help": IDLE["android_build_credential"]}),
]  # fmt: skip

_GROUPS = {
    "serving": _SERVING,
    "staging": _STAGING,
    "updates": _UPDATES,
    "accepted, without effect": _ACCEPTED,
}

_EXAMPLES = """\
examples:
  crosprov devserver --static_dir /srv/static --port 8080
  crosprov devserver --port 0 --portfile /run/devserver/port --credentials key.json
  crosprov devserver --payload eve.bin --critical_update

Underscores in options may be written as dashes.
"""
