"""Ask dpkg for some packages, in one question."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyinfra.api import FactBase

_WHOLE = "installed"
_GONE = ("not-installed", "config-files")


@dataclass(frozen=True, slots=True)
class PackageState:
    """What dpkg says of one package."""

    status: str = "not-installed"
    version: str = ""
    provided_by: str = ""  # the installed package that stands in for a virtual one

    @property
    def present(self) -> bool:
        """Tell whether the package, or one that provides it, is completely installed."""
        return self.status == _WHOLE or bool(self.provided_by)

    @property
    def broken(self) -> bool:
        """Tell whether dpkg was interrupted at this package."""
        return not self.present and self.status not in _GONE


@dataclass(frozen=True, slots=True)
class PackagesState:
    """What dpkg says of the packages that were asked for, by name."""

    has_dpkg: bool = True
    interrupted: bool = False
    packages: Mapping[str, PackageState] = field(default_factory=dict)
    architecture: str = ""  # of the host's own packages

    def of(self, name: str) -> PackageState:
        """Give the state of one package."""
        return self.packages.get(name, PackageState())


_COMMAND = """\
if command -v dpkg-query >/dev/null 2>&1; then
  echo "dpkg $(dpkg --print-architecture)"
  [ -z "$(ls "${{DPKG_ADMINDIR:-/var/lib/dpkg}}/updates" 2>/dev/null)" ] || echo interrupted
  for p in {names}; do echo "want $p"; done
  f='is ${{Package}} ${{Architecture}} ${{db:Status-Status}} ${{Version}}\\n'
  if ! dpkg-query -W -f "$f" -- {names} 2>/dev/null; then
    dpkg-query -W -f '${{Package}} ${{db:Status-Status}} ${{Provides}}\\n' |
    awk -v names=' {plain} ' '$2 == "installed" {{
      for (i = 3; i <= NF; i++) {{
        sub(/,$/, "", $i)
        if (index(names, " " $i " ")) print "provides", $i, $1
      }}
    }}'
  fi
else
  echo no-dpkg
fi"""


class PackagesFact(FactBase[PackagesState]):
    """Observe packages; a virtual one counts as present when a package that provides it is."""

    title = "packages"

    def command(self, names: Sequence[str]) -> str:
        quoted = " ".join(shlex.quote(name) for name in names)
        return _COMMAND.format(names=quoted, plain=" ".join(names))

    @staticmethod
    def default() -> PackagesState:
        return PackagesState(has_dpkg=False)

    def process(self, output: list[str]) -> PackagesState:
        if output[0] == "no-dpkg":
            return PackagesState(has_dpkg=False)
        native = output[0].removeprefix("dpkg ")
        wanted: list[str] = []
        found: dict[str, PackageState] = {}
        for word, *words in (line.split(" ") for line in output[1:]):
            match word:
                case "want":
                    wanted.append(words[0])
                case "is":
                    name, architecture, status, version = (*words, "", "")[:4]
                    state = PackageState(status, version)
                    found[f"{name}:{architecture}"] = state
                    if architecture in (native, "all"):
                        found[name] = state
                case "provides":
                    if not found.get(words[0], PackageState()).present:
                        found[words[0]] = PackageState(provided_by=words[1])
        states = {name: found[name] for name in wanted if name in found}
        return PackagesState(True, "interrupted" in output, states, native)
