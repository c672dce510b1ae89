"""The database of Dome, the web pages of a factory server."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from pyinfra import host
from pyinfra.api import FactBase

from crosprov.errors import PlanError
from crosprov.operations.effects import effects, state_dir
from crosprov.operations.note import Commands, Note, Noted
from crosprov.operations.operation import operation
from crosprov.planning.plan import Action

PROGRAM_DIR = "/usr/local/factory/py/dome"  # in the container
DATABASE = "/var/db/factory/dome/db.sqlite3"  # in the container
LOGS = "/var/log/dome"  # in the container


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What was observed: whether the file is there, the image, and the image that made it."""

    kind: str = "absent"  # file, absent, other
    docker: str = "none"  # ok; down, when it does not answer; none
    image: str = ""  # id of the image as it is now, "" when the host has none
    migrated: str = ""  # id of the image whose schema the database has, "" when not known


class DatabaseFact(FactBase[DatabaseState]):
    """Observe a database of Dome, and the image that shall use it."""

    title = "database of Dome"

    def command(self, path: str, image: str, record: str) -> str:
        name = shlex.quote(path)
        return (
            f"if [ -f {name} ]; then echo file; elif [ -e {name} ] || [ -L {name} ]; "
            "then echo other; else echo absent; fi; "
            "if ! command -v docker >/dev/null 2>&1; then echo docker none; "
            "elif docker ps -q >/dev/null 2>&1; then echo docker ok; else echo docker down; fi; "
            f"echo \"image $(docker image inspect -f '{{{{.Id}}}}' {shlex.quote(image)} "
            f'2>/dev/null)"; echo "migrated $(cat {shlex.quote(record)} 2>/dev/null)"'
        )

    @staticmethod
    def default() -> DatabaseState:
        return DatabaseState()

    def process(self, output: list[str]) -> DatabaseState:
        return DatabaseState(
            output[0],
            output[1].removeprefix("docker ").strip(),
            output[2].removeprefix("image").strip(),
            output[3].removeprefix("migrated").strip(),
        )


@operation
def database(path: str, logs: str, image: str) -> Commands:
    """Make the file of the database exist, with the schema that the image wants.

    `path` and `logs` are on the host. Data is never taken away: the schema is migrated by the
    image itself, once for each image, while Dome is stopped. An image without Dome's manage.py
    has no schema. Raises PlanError when the host has no such image and this plan loads none.
    """
    record = f"{state_dir()}/dome-migrated"
    seen = host.get_fact(DatabaseFact, path=path, image=image, record=record)
    if seen.kind == "other":
        raise PlanError(f"{path} is not a file, and Dome's database must be one",
                        hint="look into it, and move it away by hand")  # fmt: skip
    loaded = image in effects().images
    awaited = seen.docker == "down" and effects().starts_docker
    if not seen.image and not loaded and not awaited:
        raise PlanError(
            f"the host has no image {image}, and the inventory names no image_archive",
            hint="set image_archive to an archive on the controller, or load the image on the host "
            "with docker load",
        )
    if seen.kind == "file" and seen.image and seen.image == seen.migrated and not loaded:
        return
    made = seen.kind == "absent"
    note = Note(
        "database", path, Action.CREATE if made else Action.UPDATE,
        after={"schema": f"migrated by {image}"},
        unknown=("which migrations the image has",),
    )  # fmt: skip
    yield Noted(_script(path, logs, image, record), note)


def _script(path: str, logs: str, image: str, record: str) -> str:
    inside = "if [ -e manage.py ]; then exec python3 manage.py migrate --noinput; fi"
    return f"""\
db={shlex.quote(path)} logs={shlex.quote(logs)} image={shlex.quote(image)}
record={shlex.quote(record)} folder={shlex.quote(state_dir())}
[ -e "$db" ] || : > "$db" || exit  # docker would make a directory of it
running=$(docker ps --format '{{{{.Names}}}}' | grep -x 'dome_nginx\\|dome_uwsgi')
[ -z "$running" ] || docker stop $running >/dev/null || exit
docker run --rm --pull never -v "$db":{DATABASE} -v "$logs":{LOGS} -w {PROGRAM_DIR} \\
  "$image" sh -c {shlex.quote(inside)} &&
mkdir -p "$folder" && docker image inspect -f '{{{{.Id}}}}' "$image" > "$record"
code=$?
[ -z "$running" ] || docker start $running >/dev/null || exit
exit $code"""
