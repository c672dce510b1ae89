"""The stateful lsb-release of a DUT: a file of many writers and of readers that disagree.

Pure functions on its bytes. What the readers do (platform2 of 2023: libbrillo's KeyValueStore,
which update_engine reads with; the greps of stateful_update and gmerge, 2018):

- update_engine skips blanks before a key and after it, comments and empty lines; of several
  lines of a key the last counts; a value is taken with its blanks and its carriage return; a
  backslash at the end joins the next line; a line without `=`, without a key, or joined with
  nothing ends the reading: that line and all after it are lost;
- greps want the key at the beginning of a line and take the first line, or every one.

So a managed key gets one line that all of them read alike: at the beginning of a line, LF, no
blanks, nothing that joins it, and before anything that ends the reading. Other lines stay byte
for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crosprov.errors import PlanError

OVERRIDE = "/mnt/stateful_partition/etc/lsb-release"
FACTORY = "/mnt/stateful_partition/dev_image/etc/lsb-factory"  # the same format, another reader
UPDATES = "CHROMEOS_AUSERVER"
SERVER = "CHROMEOS_DEVSERVER"
TRACK = "CHROMEOS_RELEASE_TRACK"
RELEASE = "CHROMEOS_RELEASE_"

_BLANKS = b" \t\v\f\r"
_BLANK_BYTES = (b" ", b"\t", b"\v", b"\f", b"\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Statement:
    """One assignment as update_engine takes it: lines `first` to before `stop`, from zero."""

    first: int
    stop: int
    key: bytes
    value: bytes
    broken: bool  # the reading ends here


def statements(lines: Sequence[bytes]) -> Iterator[Statement]:
    """Find the assignments in lines, which have lost their line feeds.

    Goes on after a broken one, as if its lines were not there.
    """
    at = 0
    while at < len(lines):
        first = at
        key, sign, value = lines[at].lstrip(_BLANKS).partition(b"=")
        at += 1
        if not (key or sign) or key.startswith(b"#"):
            continue
        key = key.rstrip(_BLANKS)
        broken = not (key and sign)
        pieces = [value]
        while not broken and pieces[-1].endswith(b"\\"):
            broken = at == len(lines) or not lines[at]
            if not broken:
                pieces[-1] = pieces[-1][:-1]
                pieces.append(lines[at])
                at += 1
        yield Statement(first, at, key, b"".join(pieces), broken)


def read(content: bytes) -> dict[str, str]:
    """Read a file as update_engine does."""
    found: dict[str, str] = {}
    for statement in statements(_split(content)):
        if statement.broken:
            break
        found[_text(statement.key)] = _text(statement.value)
    return found


def merge(before: bytes, values: Mapping[str, str | None]) -> bytes:
    """Give each key one line that every reader reads alike; None takes its lines away.

    A key stays where its last line is, unless update_engine would not read it there; a new one
    comes to the end, or before what ends the reading. A line of a managed key that continues
    another one becomes `#`, for without it the line after it would be swallowed. Gives the same
    bytes when it is called with its own result. Raises PlanError for a value that no line can
    hold as it is meant.
    """
    for name, text in values.items():
        _check(name, text)
    owned = {_bytes(key) for key in values}
    sifted = _sift(_split(before), lambda line: _among(owned, key_of(line)))
    wanted = {_bytes(key): _bytes(value) for key, value in values.items() if value is not None}
    if not wanted and not sifted.found:
        return before
    end = len(sifted.kept) if sifted.barrier is None else sifted.barrier
    last = {key: min(place, end) for key, place in sifted.found.items()}
    order = list(sifted.found)
    additions = sorted(
        (last.get(key, end), order.index(key) if key in last else len(order), number, key)
        for number, key in enumerate(wanted)
    )
    lines = list(sifted.kept)
    for place, _, _, key in reversed(additions):
        lines.insert(place, key + b"=" + wanted[key])
    return _join(lines)


def take_back(before: bytes, written: Collection[str]) -> bytes:
    """Take away the lines that are exactly as written, like `KEY=value`; all else stays."""
    texts = {_bytes(line) for line in written}
    sifted = _sift(_split(before), lambda line: _among(texts, line))
    return _join(sifted.kept) if sifted.found else before


def key_of(line: bytes) -> bytes | None:
    """Return the key that any reader could see in a line; None for comments and empty lines."""
    text = line.strip(_BLANKS)
    if not text or text.startswith(b"#"):
        return None
    return text.partition(b"=")[0].rstrip(_BLANKS)


def stale_keys(content: bytes, keep: Collection[str] = ()) -> tuple[str, ...]:
    """Name the copies of the image's own release keys, which override the truth after an update.

    The channel is none of them: update_engine itself writes it here when it is changed.
    """
    found = (key_of(line) for line in _split(content))
    keys = dict.fromkeys(_text(key) for key in found if key and key.startswith(_bytes(RELEASE)))
    return tuple(key for key in keys if key != TRACK and key not in keep)


@dataclass(frozen=True, slots=True)
class Remark:
    """What some readers would misread, in words that follow the numbers of the lines."""

    lines: tuple[int, ...]  # from one
    words: str
    mended: bool = False  # the lines are of managed keys

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.lines[:5]))
        more = f" and {len(self.lines) - 5} more" if len(self.lines) > 5 else ""
        noun = "line" if len(self.lines) == 1 else "lines"
        return f"{noun} {shown}{more}: {self.words}" + ("; mended" if self.mended else "")


def judge(content: bytes, managed: Collection[str] = ()) -> tuple[Remark, ...]:
    """Tell what the readers of a file would misread; lines of managed keys are marked as mended."""
    lines = _split(content)
    owned = {_bytes(key) for key in managed}
    found: dict[tuple[str, bool], list[int]] = {}
    for number, words in sorted(_remarks(content, lines)):
        mended = key_of(lines[number]) in owned
        found.setdefault((words, mended), []).append(number + 1)
    return tuple(
        Remark(tuple(dict.fromkeys(numbers)), words, mended)
        for (words, mended), numbers in found.items()
    )


def _remarks(content: bytes, lines: Sequence[bytes]) -> Iterator[tuple[int, str]]:
    seen: dict[bytes, int] = {}
    ended = False
    for statement in statements(lines):
        number, line = statement.first, lines[statement.first]
        if statement.broken and not ended:
            ended = True
            yield number, "update_engine reads neither this nor anything after it"
        if statement.stop - number > 1:
            yield number, "a backslash at the end, which joins the next line to it"
        if not statement.broken:
            yield from ((number, words) for words in _habits(line, statement))
        if statement.key in seen and not statement.broken:
            yield number, f"{_shown(statement.key)} is also in line {seen[statement.key] + 1}"
        seen.setdefault(statement.key, number)
    if content.startswith(_BOM):
        yield 0, "a byte order mark stands before it, and belongs to it for every reader"
    if content and not content.endswith(b"\n"):
        yield len(lines) - 1, "no line feed at the end, so what is appended is glued to it"


def _habits(line: bytes, statement: Statement) -> Iterator[str]:
    value = statement.value
    if line[:1] in _BLANK_BYTES:
        yield "the key is indented, so greps do not find it"
    if b" " in statement.key or b"\t" in statement.key:
        yield f"the key is `{_shown(statement.key)}` for every reader"
    elif line.lstrip(_BLANKS)[len(statement.key) :][:1] != b"=":
        yield "blanks before the `=`, so greps do not find the key"
    if value.endswith(b"\r"):
        yield "a carriage return at the end, which update_engine takes for a part of the value"
    elif value != value.strip(_BLANKS):
        yield "blanks around the value, which update_engine takes for a part of it"
    if len(value) > 1 and value[:1] in b"\"'" and value[:1] == value[-1:]:
        yield "quotes, which every reader takes for a part of the value"


@dataclass(slots=True)
class _Sifted:
    """Lines without those that were looked for."""

    kept: list[bytes] = field(default_factory=list)
    found: dict[bytes, int] = field(default_factory=dict)  # key -> place among those kept
    barrier: int | None = None  # place of the first one that ends the reading

    def find(self, key: bytes) -> None:
        """Note where the last line of a key was."""
        self.found.pop(key, None)
        self.found[key] = len(self.kept)


def _sift(lines: Sequence[bytes], ours: Callable[[bytes], bytes | None]) -> _Sifted:
    """Take lines away, in one pass that follows how lines are joined."""
    sifted = _Sifted()
    orphaned = False  # the line before was taken away, and this one continued it
    at = 0
    while at < len(lines):
        line = lines[at]
        key = ours(line)
        if key is not None:
            sifted.find(key)
        if key is not None or (orphaned and _malformed(line)):
            orphaned = line.endswith(b"\\")
            at += 1
        else:
            orphaned = False
            at = _keep(lines, at, ours, sifted)
    return sifted


def _keep(
    lines: Sequence[bytes], at: int, ours: Callable[[bytes], bytes | None], sifted: _Sifted
) -> int:
    """Keep the assignment, comment or empty line that begins at a line; give the line after it."""
    stop = at + 1
    broken = _malformed(lines[at])
    if not broken and key_of(lines[at]) is not None and lines[at].endswith(b"\\"):
        while lines[stop - 1].endswith(b"\\") and stop < len(lines) and lines[stop]:
            stop += 1
        broken = lines[stop - 1].endswith(b"\\")
    if broken and sifted.barrier is None:
        sifted.barrier = len(sifted.kept)
    swallowed = []
    for line in lines[at:stop]:
        key = ours(line)
        swallowed += [key] if key is not None else []
        joined = b"#\\" if line.endswith(b"\\") else b"#"
        sifted.kept.append(line if key is None else joined)
    for key in swallowed:
        sifted.found.setdefault(key, len(sifted.kept))
    return stop


def _among(owned: Collection[bytes], key: bytes | None) -> bytes | None:
    return key if key in owned else None


def _malformed(line: bytes) -> bool:
    """Tell whether a line is neither an assignment, nor a comment, nor empty."""
    text = line.lstrip(_BLANKS)
    key, sign, _ = text.partition(b"=")
    return bool(text) and not text.startswith(b"#") and not (key.rstrip(_BLANKS) and sign)


def _check(key: str, value: str | None) -> None:
    if value is None:
        return
    if value != value.strip() or value.endswith("\\"):
        raise PlanError(
            f"lsb_release has {key} with a blank or a backslash at an end, which the update "
            "engine does not read as it is meant",
            hint="take it away",
        )
    if any(sign in value for sign in "\n\r\0"):
        raise PlanError(f"lsb_release has {key} with a line break in its value")


def _split(content: bytes) -> list[bytes]:
    return content.removesuffix(b"\n").split(b"\n") if content else []


def _join(lines: Sequence[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
