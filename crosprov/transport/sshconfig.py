"""The user's and the system's SSH configuration, read as ssh_config(5) says."""

from __future__ import annotations

import fnmatch
import getpass
import glob
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_KEYWORD = re.compile(r"[ \t]*(\w+)(?:[ \t]*=[ \t]*|[ \t]+)(.*?)[ \t\r]*\Z")
_WORD = re.compile(r'[ \t]*(?:"([^"]*)"|([^ \t"#][^ \t]*))')
_MAX_DEPTH = 16
_EXEC_TIMEOUT = 10
_SEVERAL = frozenset({"identityfile", "certificatefile"})
_LISTS = frozenset({"userknownhostsfile", "globalknownhostsfile"})
_RAW = frozenset({"proxycommand"})
_LATER = frozenset({"canonical", "final"})


class ConfigError(Exception):
    """The configuration has a line that cannot be understood; the message says which."""


@dataclass(slots=True)
class Settings:
    """Hold what the configuration says about one host name, by lower-case keyword."""

    asked: str
    values: dict[str, list[str]] = field(default_factory=dict)

    def get(self, keyword: str) -> str | None:
        """Return the value of a keyword, None when nothing is said or it says `none`."""
        values = self.values.get(keyword)
        return None if not values or values[0].lower() == "none" else values[0]

    def all(self, keyword: str) -> list[str] | None:
        """Return the values of a keyword that takes several, None when nothing is said."""
        return self.values.get(keyword)

    def flag(self, keyword: str) -> bool:
        """Return whether a keyword says `yes`."""
        return (self.get(keyword) or "").lower() in ("yes", "true")

    def number(self, keyword: str) -> int | None:
        """Return a keyword's value as a number of units or seconds (`90`, `1m30s`)."""
        value = self.get(keyword)
        return None if value is None else _seconds(keyword, value)


@dataclass(frozen=True, slots=True)
class Line:
    """Hold one line of a configuration file."""

    file: Path
    number: int
    keyword: str
    rest: str

    def words(self) -> list[str]:
        """Return the arguments: split at blanks, quotes removed, up to a comment."""
        words, position = [], 0
        while (found := _WORD.match(self.rest, position)) is not None:
            words.append(found[1] if found[1] is not None else found[2])
            position = found.end()
        rest = self.rest[position:].strip()
        if rest and not rest.startswith("#"):
            raise self.error("has a quotation mark without its partner")
        return words

    def error(self, problem: str) -> ConfigError:
        return ConfigError(f"{self.file} line {self.number} {problem}")


def files() -> tuple[Path, Path]:
    """Return the two files that ssh reads: the user's, which wins, and the system's."""
    return Path("~/.ssh/config").expanduser(), Path("/etc/ssh/ssh_config")


def look_up(asked: str, *, user: str | None = None, paths: tuple[Path, ...] = ()) -> Settings:
    """Return what the files say about a host as it was asked for.

    `user` is the login name given elsewhere, for `Match user`. Raises ConfigError.
    """
    evaluation = _Evaluation(Settings(asked), user)
    evaluation.run(paths)
    if evaluation.wants_second:
        # The name is settled by then, as in ssh: the second pass cannot change it.
        name = expand(evaluation.settings.get("hostname") or asked, {"h": asked})
        evaluation.settings.values["hostname"] = [name]
        evaluation.final = True
        evaluation.run(paths)
    if (canonical := evaluation.settings.get("canonicalizehostname")) in ("yes", "always"):
        raise ConfigError(
            f"CanonicalizeHostname {canonical} is not supported; give {asked} a HostName instead"
        )
    return evaluation.settings


class _Evaluation:
    """Walk the files for one host name; the first value of a keyword stays."""

    def __init__(self, settings: Settings, user: str | None) -> None:
        self.settings = settings
        self.final = False
        self.wants_second = False
        self._user = user

    def run(self, paths: tuple[Path, ...]) -> None:
        for path in paths:
            self._read(path, active=True, depth=0)

    def _read(self, path: Path, *, active: bool, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise ConfigError(f"{path} is included by itself, or more than {_MAX_DEPTH} deep")
        applies = active
        for line in _lines(path):
            if line.keyword == "host":
                applies = active and self._host(line)
            elif line.keyword == "match":
                # Evaluated in an inactive file too: it may ask for the second pass.
                applies = self._match(line, active) and active
            elif line.keyword == "include":
                for included in _included(line):
                    self._read(included, active=applies, depth=depth + 1)
            elif applies:
                self._take(line)

    def _take(self, line: Line) -> None:
        values = self.settings.values
        if line.keyword in _RAW:
            words = [line.rest]
        elif not (words := line.words()):
            raise line.error(f"gives {line.keyword} no value")
        if line.keyword in ("proxyjump", "proxycommand") and (
            "proxyjump" in values or "proxycommand" in values
        ):
            return
        if line.keyword in _SEVERAL:
            known = values.setdefault(line.keyword, [])
            known += [word for word in words[:1] if word not in known]
        elif line.keyword not in values:
            values[line.keyword] = words if line.keyword in _LISTS else words[:1]

    def _host(self, line: Line) -> bool:
        # In the second pass it is the settled name that counts, in the first the one asked for.
        settled = self.settings.get("hostname") if self.final else None
        return _listed(settled or self.settings.asked, line.words())

    def _match(self, line: Line, active: bool) -> bool:
        words = iter(line.words())
        matched, empty = active, True
        for word in words:
            empty = False
            criterion = word.removeprefix("!").lower()
            criterion, equals, argument = criterion.partition("=")
            if criterion in _LATER:
                self.wants_second |= criterion == "final"
                holds = self.final
            elif criterion == "all":
                holds = True
            else:
                # The argument keeps its case; only the criterion's name is folded.
                given = word.partition("=")[2] if equals else next(words, None)
                if given is None:
                    raise line.error(f"gives Match {criterion} no argument")
                holds = matched and self._holds(line, criterion, given)
            matched = matched and holds != word.startswith("!")
        if empty:
            raise line.error("gives Match no criterion")
        return matched

    def _holds(self, line: Line, criterion: str, argument: str) -> bool:
        asked = self.settings.asked
        if criterion == "exec":
            return self._execute(line, argument)
        subject = {
            "host": lambda: expand(self.settings.get("hostname") or asked, {"h": asked}),
            "originalhost": lambda: asked,
            "user": lambda: self._user or self.settings.get("user") or getpass.getuser(),
            "localuser": getpass.getuser,
        }.get(criterion)
        if subject is None:
            raise line.error(f"has the unknown criterion Match {criterion}")
        return _listed(subject(), argument.split(","))

    def _execute(self, line: Line, command: str) -> bool:
        tokens = {
            "h": self.settings.get("hostname") or self.settings.asked,
            "n": self.settings.asked,
            "p": self.settings.get("port") or "22",
            "r": self._user or self.settings.get("user") or getpass.getuser(),
            "u": getpass.getuser(),
            "d": str(Path.home()),
        }
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", expand(command, tokens)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_EXEC_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise line.error(f"runs a command that takes over {_EXEC_TIMEOUT} s") from None
        return done.returncode == 0


def expand(text: str, tokens: dict[str, str]) -> str:
    """Replace `%x` by its token and `%%` by `%`; other sequences stay as they are."""
    return re.sub(r"%(.)", lambda found: {**tokens, "%": "%"}.get(found[1], found[0]), text)


def _lines(path: Path) -> Iterator[Line]:
    try:
        text = path.read_text(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
    for number, raw in enumerate(text.split("\n"), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        found = _KEYWORD.match(raw)
        if found is None:
            raise ConfigError(f"{path} line {number} gives {raw.strip()} no value")
        yield Line(path, number, found[1].lower(), found[2])


def _included(line: Line) -> Iterator[Path]:
    home = Path("~/.ssh").expanduser()
    system = Path("/etc/ssh")
    base = system if line.file.is_relative_to(system) else home
    for word in line.words():
        pattern = base / Path(word).expanduser()
        yield from (Path(name) for name in sorted(glob.glob(str(pattern))))


def _listed(subject: str, patterns: list[str]) -> bool:
    """Return whether a pattern fits and no negated one does."""
    found = False
    for pattern in patterns:
        # Brackets are literal in ssh_config, unlike in fnmatch.
        bare = pattern.removeprefix("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(subject.lower(), bare.lower()):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _seconds(keyword: str, value: str) -> int:
    if not re.fullmatch(r"(\d+[smhdwSMHDW]?)+", value):
        raise ConfigError(f"the SSH configuration gives {keyword} the value {value}, not a number")
    unit = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    parts = re.findall(r"(\d+)([a-z]?)", value.lower())
    return sum(int(count) * unit[letter] for count, letter in parts)
