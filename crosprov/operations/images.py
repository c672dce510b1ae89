"""Images of containers, loaded from an archive on the controller: no registry is needed."""

from __future__ import annotations

import re
import shlex

from pyinfra import host
from pyinfra.api import StringCommand

from crosprov.errors import PlanError
from crosprov.facts.containers import ImageFact
from crosprov.localfiles import measured
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.note import Commands, LocalFile, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

_NAME = re.compile(r"[a-z0-9][a-z0-9._/:-]*[a-z0-9]|[a-z0-9]", re.IGNORECASE)
_TAR_MAGIC = 257  # where a tar archive says "ustar"
_COMPRESSED = (b"\x1f\x8b", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"BZh")

_LOAD = """\
said=$(docker load -q -i {file} 2>&1) || {{ printf '%s\\n' "$said" >&2; exit 1; }}
rm -f {file}
case "$said/" in
  *"Loaded image: "{name}[/[:space:]]*) ;;
  *"Loaded image ID: "*) docker tag "${{said##*Loaded image ID: }}" {name} || exit;;
  *) printf 'the archive holds other images than %s: %s\\n' {name} "$said" >&2; exit 1;;
esac
id=$(docker image inspect -f '{{{{.Id}}}}' {name}) &&
printf '%s\\n' "$id" > {record}.part && mv {record}.part {record}"""


@operation
def image(name: str, /, *, archive: str) -> Commands:
    """Make the name of an image point at what an archive of the controller holds.

    The archive is what `docker save` writes, or the same compressed. The host remembers which
    image it gave, so nothing is sent again as long as the name points there. A name without
    a tag means `latest`, as everywhere in Docker. Raises PlanError when the archive is
    missing, empty or of another kind, and where Docker does not answer and nothing in this
    plan starts it.
    """
    if not _NAME.fullmatch(name):
        raise PlanError(f"{name!r} is not the name of an image")
    size, sha256 = _measured(archive)
    record = f"{state_dir()}/images/{sha256}"
    seen = host.get_fact(ImageFact, image=name, record=record)
    if seen.docker != "ok" and not effects().starts_docker:
        raise PlanError(
            f"the image {name} cannot be loaded, for docker does not answer on the host",
            hint="give the host the role docker, or look at `systemctl status docker`",
        )
    if seen.image and seen.image == seen.loaded:
        return
    effects().images.update((name, _tagged(name)))
    yield from _load(name, record, LocalFile(archive, size, sha256, f"{record}.tar"), seen.image)


def _load(name: str, record: str, file: LocalFile, old: str) -> Commands:
    place = shlex.quote(file.dest)
    note = Note(
        kind="image",
        name=name,
        action=Action.UPDATE if old else Action.CREATE,
        before={"id": old} if old else {},
        after={"archive": f"{file.source} ({file.size} bytes, sha256 {file.sha256[:12]})",
               "id": "(known after apply)"},
        unknown=("the id of the image in the archive",),
        undo=f"rm -f {place}",
    )  # fmt: skip
    folder = shlex.quote(f"{state_dir()}/images")
    yield Noted(f"mkdir -p {folder} && rm -f {place} && ( umask 077; : > {place} )", note)
    yield file
    tagged = shlex.quote(_tagged(name))
    yield StringCommand(_LOAD.format(file=place, name=tagged, record=shlex.quote(record)))


def _tagged(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _measured(archive: str) -> tuple[int, str]:
    """Give size and sha256 of an archive that `docker load` may take."""
    try:
        with open(archive, "rb") as file:
            _check_magic(archive, file.read(_TAR_MAGIC + 5))
        return measured(archive)
    except OSError as error:
        raise PlanError(
            f"the image archive {archive} cannot be read: {error.strerror}",
            hint="paths are relative to the inventory",
        ) from None


def _check_magic(archive: str, head: bytes) -> None:
    if not head:
        raise PlanError(f"the image archive {archive} is empty", hint="was its download cut short?")
    if not head.startswith(_COMPRESSED) and head[_TAR_MAGIC:] != b"ustar":
        raise PlanError(
            f"{archive} is not an image archive: it is neither tar nor a compressed tar",
            hint="`docker save IMAGE > FILE` writes one",
        )
