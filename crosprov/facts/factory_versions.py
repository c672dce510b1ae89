"""Ask a factory server for its deployment script, its image, and the versions that it keeps."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from pyinfra.api import FactBase

# The folder beside the script, with a folder of each version: its script, and in image-id what its
# tarball gave. KEPT/previous names the version that Dome ran from before the current one.
KEPT = "kept"

# A version is TIMESTAMP-HASH6, "-" where there is none: it is read from a script's own lines, and
# from the variables of an image (setup/cros_docker.sh and setup/Dockerfile, June 2023).
VERSION_FUNCTIONS = r"""
version_of_script() {
  t=$(sed -n 's/^DOCKER_IMAGE_TIMESTAMP="\([0-9]*\)".*/\1/p' "$1" 2>/dev/null | head -n 1)
  h=$(sed -n 's/^DOCKER_IMAGE_GITHASH="\([*0-9a-f]*\)".*/\1/p' "$1" 2>/dev/null | head -n 1)
  printf '%s-%.6s\n' "$t" "$h"
}
version_of_image() {
  docker image inspect -f '{{range .Config.Env}}{{println .}}{{end}}' "$1" 2>/dev/null | awk -F= '
    $1 == "DOCKER_IMAGE_TIMESTAMP" { t = $2 } $1 == "DOCKER_IMAGE_GITHASH" { h = $2 }
    END { printf "%s-%s\n", t, substr(h, 1, 6) }'
}
id_of_image() { docker image inspect -f '{{.Id}}' "$1" 2>/dev/null; }
"""

_QUESTION = r"""
d={folder} repo={image}
if [ -f "$d/cros_docker.sh" ]; then
  h=$(sha256sum < "$d/cros_docker.sh") || exit 1
  echo "script $(version_of_script "$d/cros_docker.sh") ${{h%% *}}"
fi
for k in "$d"/kept/*/; do
  [ -d "$k" ] || continue
  k=${{k%/}}; v=${{k##*/}}; h=none
  [ ! -f "$k/cros_docker.sh" ] || h=$(sha256sum < "$k/cros_docker.sh") || exit 1
  echo "kept $v ${{h%% *}} $(cat "$k/image-id" 2>/dev/null)"
  for f in "$k"/factory-server-* "$k"/.*.crosprov; do [ ! -e "$f" ] || echo "left $f"; done
done
[ ! -f "$d/kept/previous" ] || echo "previous $(cat "$d/kept/previous")"
if ! command -v docker >/dev/null 2>&1; then echo docker none; exit 0; fi
if ! docker ps -q >/dev/null 2>&1; then echo docker down; exit 0; fi
echo docker ok
id=$(id_of_image "$repo") && echo "image $(version_of_image "$repo") $id"
docker image ls --format '{{{{.Tag}}}}' "$repo" | grep -E '^[0-9]{{14}}-[0-9a-f]{{6}}$' | sort |
  while read -r t; do
    echo "tag $t $(version_of_image "$repo:$t") $(id_of_image "$repo:$t")"
    docker ps -a --filter "ancestor=$repo:$t" --format '{{{{.Names}}}}' | sort | sed "s/^/used $t /"
  done
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A version whose folder is on the host."""

    script: str = ""  # sha256 of its script, "" when the folder has none
    installed: str = ""  # id of the image that its tarball gave, "" before it did


@dataclass(frozen=True, slots=True)
class Tagged:
    """An image that is kept under the name of its version."""

    version: str  # what the image says itself
    image: str
    users: tuple[str, ...] = ()  # containers of it


@dataclass(frozen=True, slots=True)
class Installed:
    """What was observed of the versions of a factory server on its host."""

    docker: str = "none"  # ok; down, when it does not answer; none
    script: str = ""  # version of the script in force, "" when there is none
    digest: str = ""  # its sha256
    kept: dict[str, Kept] = field(default_factory=dict)
    tags: dict[str, Tagged] = field(default_factory=dict)
    current: str = ""  # what the image in force says, "" when there is none
    image: str = ""  # its id
    previous: str = ""
    left: tuple[str, ...] = ()  # files of a run that was cut short

    @property
    def replaced(self) -> bool:
        """Tell whether the image in force is not the one that its version was installed as."""
        tag = self.tags.get(self.current)
        return tag is not None and tag.image != self.image


class InstalledFact(FactBase[Installed]):
    """Observe the deployment script, the image, and the versions kept below a folder."""

    title = "factory server below"

    def command(self, folder: str, image: str) -> str:
        return VERSION_FUNCTIONS + _QUESTION.format(
            folder=shlex.quote(folder), image=shlex.quote(image)
        )

    @staticmethod
    def default() -> Installed:
        return Installed()

    def process(self, output: list[str]) -> Installed:
        said: dict[str, list[list[str]]] = {}
        for line in output:
            word, *rest = line.split()
            said.setdefault(word, []).append(rest)
        script, image = said.get("script", [["", ""]])[0], said.get("image", [["", ""]])[0]
        users: dict[str, list[str]] = {}
        for tag, name in said.get("used", ()):
            users.setdefault(tag, []).append(name)
        return Installed(
            docker=said["docker"][0][0],
            script=script[0],
            digest=script[1],
            kept={
                name: Kept("" if sha256 == "none" else sha256, "".join(image_id))
                for name, sha256, *image_id in said.get("kept", ())
            },
            tags={
                name: Tagged(version, image_id, tuple(users.get(name, ())))
                for name, version, image_id in said.get("tag", ())
            },
            current=image[0],
            image=image[1],
            previous="".join(said.get("previous", [[]])[0]),
            left=tuple(" ".join(path) for path in said.get("left", ())),
        )
