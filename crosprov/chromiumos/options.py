"""Every option that a ChromiumOS devserver ever had, and the command line for one version.

Read from the 251 revisions of devserver.py in the history of platform/dev-util, 2009 to 2023,
which the repository google/cro3 carries. A version says what it knows by its `--help`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from crosprov.chromiumos.usage import Usage

LAST_REVISION = "2023-02-10"  # of devserver.py: it was deleted from the tree later that year

Value = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Option:
    """An option of devserver.py; dates are those of the first and last revision that has it."""

    name: str
    first: str
    last: str
    value: str | None = None  # what its value is called; None for a flag
    short: str | None = None
    instead: str | None = None  # what does its work in versions without it
    successor: str | None = None  # the option that took its work over

    @property
    def alive(self) -> bool:
        """Tell whether the last version of devserver.py has it."""
        return self.last == LAST_REVISION

    @property
    def span(self) -> str:
        """Word when it was there."""
        return (
            f"from {self.first} to its end" if self.alive else f"from {self.first} to {self.last}"
        )


_STAGE = "stage the build, and let DUTs name its label"
_CHROOT = "make the payload with cros_generate_update_payload, and serve it under `files`"
_KEYS = "sign the payload where it is made"
_OMAHA = "run nebraska.py where only answers are wanted"
_EVENTS = "read events in the server's log"

OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("--port", "2010-10-11", LAST_REVISION, "port"),
        Option("--static_dir", "2013-07-17", LAST_REVISION, "path"),
        Option("--test_image", "2010-03-20", LAST_REVISION, short="-t"),  # at first only -t
        Option("--xbuddy_manage_builds", "2013-07-17", LAST_REVISION, short="-x"),
        Option("--clear_cache", "2010-11-15", LAST_REVISION),
        Option("--exit", "2010-11-17", LAST_REVISION),
        Option("--logfile", "2012-07-11", LAST_REVISION, "path"),
        Option("--pidfile", "2013-08-23", LAST_REVISION, "path"),
        Option("--portfile", "2014-02-14", LAST_REVISION, "path"),
        Option("--production", "2011-01-25", LAST_REVISION),
        Option("--android_build_credential", "2015-10-23", LAST_REVISION, "path", "-a"),
        Option("--infra_removal", "2020-02-13", LAST_REVISION),
        Option("--use_cached", "2010-09-28", "2010-11-16",
               instead="`payload: STATIC_DIR/update.gz`", successor="--payload"),
        Option("--src_image", "2010-10-26", "2019-08-23", "path", instead=_CHROOT),
        Option("--image", "2010-09-15", "2019-08-23", "file", instead=_CHROOT),
        Option("--pregenerate_update", "2010-10-27", "2019-08-23", short="-p", instead=_CHROOT),
        Option("--board", "2010-11-04", "2019-08-23", "board",
               instead="name the board in xBuddy paths and labels"),
        Option("--payload", "2010-11-17", "2020-04-24", "path", instead=_STAGE),
        Option("--critical_update", "2011-11-15", "2020-04-24", instead=_OMAHA),
        Option("--proxy_port", "2010-12-06", "2020-04-24", "port",
               instead="the header X-Forwarded-Host of the proxy"),
        Option("--max_updates", "2012-10-12", "2020-03-23", "count", instead=_OMAHA),
        Option("--host_log", "2012-10-12", "2020-03-25", instead=_EVENTS),
        Option("--urlbase", "2010-04-07", "2019-07-16", "url", "-u", instead=_OMAHA),
        Option("--remote_payload", "2012-10-04", "2019-07-16", instead=_OMAHA),
        Option("--private_key", "2011-02-14", "2019-06-20", "path", instead=_KEYS),
        Option("--private_key_for_metadata_hash_signature", "2013-11-08", "2019-06-20", "path",
               instead=_KEYS),
        Option("--public_key", "2013-11-08", "2019-08-23", "path", instead=_KEYS),
        Option("--no_patch_kernel", "2013-04-01", "2014-09-10", instead=_CHROOT),
        Option("--for_vm", "2010-10-28", "2013-08-16", instead=_STAGE),
        Option("--archive_dir", "2010-03-20", "2013-08-07", "path",
               instead="`static_dir`", successor="--static_dir"),
        Option("--data_dir", "2011-02-12", "2013-07-17", "path",
               instead="`static_dir`", successor="--static_dir"),
        Option("--factory_config", "2010-04-12", "2013-01-21", "path",
               instead="the role factory_server"),
        Option("--validate_factory_config", "2010-04-12", "2013-01-21",
               instead="the role factory_server"),
        Option("--client_prefix", "2010-05-07", "2012-07-12", "text", instead=_STAGE),
        Option("--logging", "2012-01-19", "2012-02-23", short="-l", successor="--logfile"),
        Option("--log-dir", "2012-02-27", "2012-07-10", "path", "-l", successor="--logfile"),
    )
}  # fmt: skip
"""All options by their long spelling."""

KEYS: Mapping[str, str] = {
    key: f"--{key}"
    for key in (
        "port", "static_dir", "production", "test_image", "use_cached", "payload",
        "image", "src_image", "pregenerate_update", "board",
    )
}  # fmt: skip
"""The inventory's keys that are options."""

NEED_CHROOT = ("image", "src_image", "pregenerate_update")
"""Keys that make payloads of images, which devserver.py does inside of the chroot only."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A key that a version cannot carry out: a sentence, and a hint where there is a remedy."""

    key: str
    sentence: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The words after `devserver.py`, what does not fit the version, and what is worth knowing."""

    words: tuple[str, ...]
    misfits: tuple[Misfit, ...] = ()
    notices: tuple[str, ...] = ()


def command_line(
    wanted: Mapping[str, Value], usage: Usage, extras: Mapping[str, str] | None = None
) -> CommandLine:
    """Give the command line for the keys of an inventory and a version's own `--help`.

    None and False are keys that nobody wants. `extras` are options by their long spelling that
    are given to a version that knows them, and left out for others.
    """
    words: list[str] = []
    misfits: list[Misfit] = []
    notices: list[str] = []
    for key, value in wanted.items():
        if value is None or value is False:
            continue
        spelling = _spelling(OPTIONS[KEYS[key]], usage)
        if spelling is None:
            misfits.append(_misfit(key, usage))
            continue
        if usage.options[spelling].deprecated:
            notices.append(f"`{key}` does nothing any more in this version of devserver.py")
        words += _words(spelling, value)
    for name, text in (extras or {}).items():
        if name in usage.options:
            words += _words(name, text)
    return CommandLine(tuple(words), tuple(misfits), tuple(notices))


def era_in_words(usage: Usage) -> str:
    """Word of which time a version is, as far as its options tell."""
    first, last = era(usage.options)
    return f"{first} or later" if last == LAST_REVISION else f"{first} to {last}"


def era(known: Iterable[str]) -> tuple[str, str]:
    """Tell from which day to which day all options of a set were there; unknown ones say nothing.

    An option that is missing in the set is no evidence: forks leave options out.
    """
    there = [OPTIONS[name] for name in known if name in OPTIONS]
    first = max((option.first for option in there), default="2009")
    last = min((option.last for option in there), default=LAST_REVISION)
    return first, last


def _spelling(option: Option, usage: Usage) -> str | None:
    """Choose how a version spells an option; one whose value or flag differs is another option."""
    for name in (option.name, option.short):
        seen = usage.options.get(name) if name else None
        if name and seen is not None and seen.takes_value == (option.value is not None):
            return name
    return None


def _words(spelling: str, value: Value) -> list[str]:
    return [spelling] if value is True else [spelling, str(value)]


def _misfit(key: str, usage: Usage) -> Misfit:
    option = OPTIONS[KEYS[key]]
    sentence = f"`{key}` needs {option.name}, which devserver.py had {option.span}"
    if option.alive or era(usage.options)[1] < option.first:
        other = ", or write production: false" if key == "production" else ""
        hint = f"for `{key}` take a checkout of {option.first} or later{other}"
        return Misfit(key, sentence, hint)
    instead = _instead(option, usage)
    return Misfit(key, sentence, f"in place of `{key}`: {instead}" if instead else None)


def _instead(option: Option, usage: Usage) -> str | None:
    """Word what does the work of an option in this version, which may lack its successor, too."""
    heir = OPTIONS[option.successor] if option.successor else None
    if heir is None or heir.name in usage.options:
        return option.instead
    return _instead(heir, usage)
