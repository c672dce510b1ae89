"""What can be staged of a build: the artifacts of ChromiumOS dev servers, as one table.

Names, patterns and what is stored are those of the later generation (chromite's
build_artifact.py and artifact_info.py of 2022).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate

from crosprov.devserver.failures import Refused


@dataclass(frozen=True, slots=True)
class Pattern:
    """Describe names of files at the source: a plain name, a glob, or an expression.

    `{build}` in an expression stands for the last part of the build's name.
    """

    text: str
    is_expression: bool = False

    @property
    def plain(self) -> str | None:
        """Give the only name that fits, None when several could."""
        return None if self.is_expression or set("*?[") & set(self.text) else self.text

    def fits(self, name: str, build: str) -> bool:
        """Tell whether a file of a build has such a name."""
        version = re.escape(build.rpartition("/")[2])
        text = self.text.replace("{build}", version) if self.is_expression else translate(self.text)
        return re.fullmatch(text, name) is not None


@dataclass(frozen=True, slots=True)
class Artifact:
    """Describe one artifact.

    `sources` are alternatives, best first: the first that fits anything is taken. `several`:
    all files that fit are taken, else exactly one must fit. `member`: only this member of the
    archive is stored. `unpack`: the archive's members are stored, those below `only` when it
    is given, and none below `without`. `stored`: what a single file is called here.
    """

    name: str
    sources: tuple[Pattern, ...]
    several: bool = False
    stored: str | None = None
    member: str | None = None
    unpack: bool = False
    only: str | None = None
    without: str | None = None

    @property
    def is_plain(self) -> bool:
        """Tell whether its files have the same names in every build: no listing is needed."""
        return not any(source.plain is None for source in self.sources)

    @property
    def is_archive(self) -> bool:
        """Tell whether what is downloaded is taken apart."""
        return self.unpack or self.member is not None


def _plain(name: str, *sources: str, stored: str | None = None, several: bool = False) -> Artifact:
    patterns = tuple(Pattern(source) for source in sources)
    return Artifact(name, patterns, stored=stored, several=several)


def _payload(name: str, *expressions: str) -> Artifact:
    patterns = tuple(Pattern(expression, True) for expression in expressions)
    return Artifact(name, patterns, several=True)


def _image(name: str, *sources: str, member: str) -> Artifact:
    return Artifact(name, tuple(Pattern(source) for source in sources), member=member)


def _unpacked(
    name: str, source: str, *, only: str | None = None, without: str | None = None
) -> Artifact:
    return Artifact(name, (Pattern(source),), unpack=True, only=only, without=without)


_TABLE = (
    # A payload comes with a file of the same name and .json behind it.
    _payload(
        "full_payload",
        r"chromeos_.*_full_dev.*bin(\.json)?",
        r"chromeos_{build}_(?!.*_?delta_)[^/]*_dev\.bin(\.json)?",
    ),
    _payload("delta_payload", r"chromeos_.*_delta_dev.*bin(\.json)?"),
    _plain("stateful", "stateful.tgz"),
    _plain("quick_provision", "full_dev_part_*.bin.gz", several=True),
    _image(
        "base_image",
        "chromiumos_base_image.tar.xz",
        "image.zip",
        member="chromiumos_base_image.bin",
    ),
    _image(
        "test_image",
        "chromiumos_test_image.tar.xz",
        "image.zip",
        member="chromiumos_test_image.bin",
    ),
    _image("recovery_image", "recovery_image.tar.xz", "image.zip", member="recovery_image.bin"),
    _image("dev_image", "image.zip", member="chromiumos_image.bin"),
    _plain("signed_image", "chromeos_*recovery*mp*.bin", stored="signed_image.bin"),
    _image(
        "factory_image",
        "ChromeOS-factory*.zip",
        member="factory_test/chromiumos_factory_image.bin",
    ),
    _image(
        "factory_shim_image",
        "factory_image.zip",
        member="factory_shim/factory_install_shim.bin",
    ),
    _plain("firmware", "firmware_from_source.tar.bz2"),
    _unpacked("autotest", "autotest.tar", without="autotest/test_suites"),
    _unpacked("control_files", "control_files.tar"),
    _unpacked("autotest_packages", "autotest_packages.tar"),
    _plain("autotest_server_package", "autotest_server_package.tar.bz2"),
    _unpacked("test_suites", "test_suites.tar.bz2"),
    _unpacked("au_suite", "au_control.tar.bz2"),
    *(
        _unpacked(f"paygen_au_{channel}_suite", f"paygen_au_{channel}_control.tar.bz2")
        for channel in ("canary", "dev", "beta", "stable")
    ),
    _unpacked("symbols", "debug.tgz", only="debug/breakpad"),
    _unpacked("symbols_only", "debug_breakpad.tar.xz", only="debug/breakpad"),
    _plain("libiota_test_binaries", "test_binaries.tar.gz"),
    _plain("libiota_board_utils", "board_utils.tar.gz"),
)

ARTIFACTS: Mapping[str, Artifact] = {artifact.name: artifact for artifact in _TABLE}

# What is fetched in the background after an artifact, because it is asked for next. All of it
# is optional: where the source has none, the artifact that was asked for stays staged. (The
# genuine dev server removes the whole build then, when its background thread fails.)
RELATED: Mapping[str, tuple[str, ...]] = {
    "test_suites": ("control_files", "autotest_packages"),
}


def chosen(names: Iterable[str]) -> tuple[Artifact, ...]:
    """Look artifacts up by name, each once; raises Refused(400) that names near ones."""
    return tuple(_artifact(name) for name in dict.fromkeys(names))


def _artifact(name: str) -> Artifact:
    if name in ARTIFACTS:
        return ARTIFACTS[name]
    near = get_close_matches(name, ARTIFACTS, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; known are {', '.join(ARTIFACTS)}"
    raise Refused(400, f"there is no artifact {name[:100]!r}{hint}")
