"""Ask a DUT for its image, its firmware's mode and its update engine, in one question."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from pyinfra.api import FactBase

from crosprov.lsb_release import UPDATES, read

# What update_engine uses when no file names a server (platform2, image_properties_chromeos.cc).
DEFAULT_SERVER = "https://tools.google.com/service/update2"
NEBRASKA = "/usr/local/nebraska/config.json"
BUILD_RECORD = "build"  # below crosprov's records: what an update under way, or pending, is to
WRITTEN_RECORD = "lsb-release"  # below crosprov's records: the lines that crosprov wrote
STATEFUL_RECORD = "stateful"  # below crosprov's records: how far a stateful partition is

_AT_WORK = {
    "UPDATE_STATUS_CHECKING_FOR_UPDATE",
    "UPDATE_STATUS_UPDATE_AVAILABLE",
    "UPDATE_STATUS_DOWNLOADING",
    "UPDATE_STATUS_VERIFYING",
    "UPDATE_STATUS_FINALIZING",
    "UPDATE_STATUS_ATTEMPTING_ROLLBACK",
}


@dataclass(frozen=True, slots=True)
class DutState:
    """What was observed of a DUT; an empty text is what could not be asked."""

    debug_build: str = ""
    devsw_boot: str = ""
    nebraska: bool = False
    image: bytes = b""  # /etc/lsb-release of the root file system
    operation: str = ""  # of update_engine, like UPDATE_STATUS_IDLE; "" when it does not answer
    new_version: str = ""
    updating: str = ""  # the label of an update that crosprov began since the last boot
    stateful: str = ""  # LABEL wanted, LABEL placed: a stateful partition to be replaced
    wrote: tuple[str, ...] = ()  # lines of the stateful lsb-release that are crosprov's

    @property
    def override_counts(self) -> bool:
        """Tell whether update_engine reads addresses in the stateful lsb-release.

        It does so unless the build is official and was booted with verification.
        """
        return not (self.official and self.devsw_boot == "0")

    @property
    def official(self) -> bool:
        """Tell whether the build is an official one, as update_engine does."""
        return self.debug_build == "0"

    @property
    def release(self) -> dict[str, str]:
        """What the image says of itself."""
        return read(self.image)

    @property
    def board(self) -> str:
        """Name the board of the image, without what signing adds; "" when it is unknown."""
        return self.release.get("CHROMEOS_RELEASE_BOARD", "").strip().partition("-signed-")[0]

    @property
    def builder_path(self) -> str:
        """Name the build of the image; "" for one that was not made by a builder."""
        return self.release.get("CHROMEOS_RELEASE_BUILDER_PATH", "").strip()

    @property
    def at_work(self) -> bool:
        """Tell whether update_engine is in the middle of an update."""
        return self.operation in _AT_WORK

    @property
    def needs_reboot(self) -> bool:
        """Tell whether an update is installed and waits for a reboot."""
        return self.operation == "UPDATE_STATUS_UPDATED_NEED_REBOOT"

    def updates_from(self, stateful: bytes) -> str:
        """Compute the address that update_engine asks, as it does for every attempt."""
        found = self.release
        if self.override_counts:
            found |= read(stateful)
        return found.get(UPDATES, DEFAULT_SERVER)


class DutFact(FactBase[DutState]):
    """Observe a DUT; `records` is the folder of crosprov's records on it.

    Progress is not asked for: the answer is the same as long as nothing changed.
    """

    title = "state of the DUT"

    def command(self, records: PurePosixPath) -> str:
        names = (BUILD_RECORD, STATEFUL_RECORD, WRITTEN_RECORD)
        build, stateful, written = (shlex.quote(f"{records}/{name}") for name in names)
        return (
            "set -- $(crossystem debug_build devsw_boot 2>/dev/null); "
            'echo "debug_build $1"; echo "devsw_boot $2"; '
            "t=; ! command -v timeout >/dev/null 2>&1 || t='timeout 10'; "
            f"[ ! -e {NEBRASKA} ] || echo nebraska yes; "
            "[ ! -r /etc/lsb-release ] || "
            "printf 'image %s\\n' \"$(base64 < /etc/lsb-release | tr -d '\\n')\"; "
            "$t update_engine_client --status 2>/dev/null "
            "| sed -n -e 's/^CURRENT_OP=/operation /p' -e 's/^NEW_VERSION=/new_version /p'; "
            f"if [ -f {build} ]; then read -r l b < {build}; "
            'read -r n < /proc/sys/kernel/random/boot_id; [ "$b" != "$n" ] || echo "updating $l"; '
            f"fi; [ ! -f {stateful} ] || sed 's/^/stateful /' {stateful}; "
            f"[ ! -f {written} ] || sed 's/^/wrote /' {written}"
        )

    @staticmethod
    def default() -> DutState:
        return DutState()

    def process(self, output: list[str]) -> DutState:
        said: dict[str, list[str]] = {}
        for line in output:
            word, _, rest = line.partition(" ")
            said.setdefault(word, []).append(rest)
        last = {word: values[-1] for word, values in said.items()}
        return DutState(
            debug_build=last.get("debug_build", ""),
            devsw_boot=last.get("devsw_boot", ""),
            nebraska="nebraska" in said,
            image=base64.b64decode(last.get("image", "")),
            operation=last.get("operation", ""),
            new_version=last.get("new_version", ""),
            updating=last.get("updating", ""),
            stateful=last.get("stateful", ""),
            wrote=tuple(said.get("wrote", ())),
        )
