"""What is set in Dome and in Umpires, carried out against a factory server in this process."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crosprov.bundle_choice import choose
from crosprov.errors import ChangeFailed, PlanError
from crosprov.factory.resources import damage
from crosprov.operations.dome_password import dome_password, tell_password, verified
from crosprov.operations.dome_settings import (
    MULTICAST,
    TFTP,
    VERSION_CHECK,
    Setting,
    dome_setting,
    tell_dome,
)
from crosprov.operations.project_wish import Wish
from crosprov.operations.resource_bundles import Bundle, resource_bundle
from crosprov.operations.services import services
from crosprov.secrets import vault
from tests.support.factory import CONFIG, Container, Factory, free_base
from tests.support.machine import Machine, summary


@pytest.fixture
def eve(factory: Factory) -> Wish:
    """A project whose Umpire runs."""
    wish = Wish("eve", free_base())
    factory.rows["eve"] = {"umpireEnabled": True, "umpirePort": wish.base}
    factory.make("eve", wish.base)
    return wish


def setting(factory: Factory, key: Setting, on: bool) -> Callable[[], None]:
    return lambda: (dome_setting(key, on, dome=factory.dome), None)[1]


@pytest.mark.parametrize(
    ("key", "on", "there", "after"),
    [
        (TFTP, True, None, {"state": "on", "container": "running"}),
        (TFTP, True, {"tftpEnabled": True}, {"container": "running"}),
        (TFTP, False, {"tftpEnabled": True}, {"state": "off"}),
        (MULTICAST, True, {"mcastEnabled": False}, {"state": "on", "container": "running"}),
        (VERSION_CHECK, False, None, {"state": "off"}),
        (VERSION_CHECK, False, {"versionCheckEnabled": True}, {"state": "off"}),
        (VERSION_CHECK, True, None, None),
        (TFTP, False, None, None),
    ],
)
def test_a_setting_is_made(
    machine: Machine, factory: Factory, key: Setting, on: bool,
    there: dict[str, bool] | None, after: dict[str, str] | None,
) -> None:  # fmt: skip
    usual = {"tftpEnabled": False, "mcastEnabled": False, "versionCheckEnabled": True}
    factory.settings = None if there is None else {**usual, **there}
    others = {name: value for name, value in usual.items() if name != key.field}
    changes = machine.apply(setting(factory, key, on))
    assert [change.after for change in changes] == ([] if after is None else [after])
    if after is not None:
        assert factory.settings == {**others, key.field: on}
    assert machine.plan(setting(factory, key, on)).empty


@pytest.mark.parametrize(
    ("harm", "after"),
    [
        ("status", {"container": "running"}),
        ("image", {"made anew": "its image changed"}),
        ("volume", {"made anew": "it has another folder"}),
    ],
)
def test_its_container_is_made_anew(
    machine: Machine, factory: Factory, harm: str, after: dict[str, str]
) -> None:
    factory.settings = {"tftpEnabled": True, "mcastEnabled": False, "versionCheckEnabled": False}
    image = "sha256:old" if harm == "image" else factory.image
    volume = "/elsewhere/tftp:/var/tftp" if harm == "volume" else TFTP.volume(factory.dome)
    status = "exited" if harm == "status" else "running"
    factory.containers["dome_tftp"] = Container([f"image {image}", f"bind {volume}"], status)
    (change,) = machine.apply(setting(factory, TFTP, True))
    assert change.after == after
    assert factory.requests == ["docker rm dome_tftp", "PUT /config/0/"]
    assert factory.containers["dome_tftp"].status == "running"
    assert machine.plan(setting(factory, TFTP, True)).empty


def test_the_status_of_dome_is_told(machine: Machine, factory: Factory) -> None:
    plan = machine.plan(lambda: tell_dome(factory.dome))
    assert plan.about["TFTP"] == plan.about["multicast"] == "off"
    assert plan.about["Dome"] == f"answers on port {factory.dome.port}"
    factory.faults["GET /projects/"] = 500
    assert machine.plan(lambda: tell_dome(factory.dome)).about["Dome"] == "answers 500"


def hash_of(factory: Factory) -> str:
    with sqlite3.connect(factory.database) as base:
        ((found,),) = base.execute("select password from auth_user")
    return str(found)


def keep(factory: Factory, encoded: str) -> None:
    with sqlite3.connect(factory.database) as base:
        base.execute("update auth_user set password = ?", (encoded,))


DEFAULT_HASH = "pbkdf2_sha256$1000$grain$+/g4Avy21A2JbZcQrk08bptNbCycGjDlQV9QNtnYMCM="
KNOWN = "pbkdf2_sha256$1000$grain$L7v9xq0pU5cFz0qP2Z5yN0d8zV1m8m3Q0v0Xr8c9k5E="


def test_a_password_is_set_once_and_never_shown(machine: Machine, factory: Factory) -> None:
    keep(factory, KNOWN)
    token = vault.add("s3cret 'of \"eve\n", "env DOME_PASSWORD")

    def wanted() -> None:
        dome_password("admin", token, dome=factory.dome)

    plan = machine.plan(wanted)
    assert summary(plan) == ["~ password admin"]
    assert not any(word in plan.model_dump_json() for word in ("s3cret", KNOWN, "test0000"))
    machine.carry_out(plan)
    assert "set_password" in (factory.folder / "seen").read_text()
    assert "s3cret" not in (factory.folder / "seen").read_text()
    assert "s3cret" not in "".join(map(repr, machine.events))
    assert verified(hash_of(factory), "s3cret 'of \"eve\n")
    assert machine.plan(wanted).empty
    left = {path.name for path in machine.state_dir.rglob("*dome-password*")}
    assert left == {"dome-password"}
    assert (machine.state_dir / "dome-password").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (KNOWN, "not the declared one"),
        (DEFAULT_HASH, "the documented default"),
        ("argon2$whatever", "not known"),
        ("", "not known"),
    ],
)
def test_a_password_that_is_not_the_declared_one_is_told(
    machine: Machine, factory: Factory, there: str, told: str
) -> None:
    keep(factory, there)
    token = vault.add("eve-and-kevin", "env DOME_PASSWORD")
    plan = machine.plan(lambda: dome_password("admin", token, dome=factory.dome))
    assert summary(plan) == ["~ password admin"]
    assert plan.about["password of admin"] == told


def test_a_hash_of_another_kind_is_known_by_the_record(machine: Machine, factory: Factory) -> None:
    token = vault.add("eve-and-kevin", "env DOME_PASSWORD")
    keep(factory, "argon2$whatever")

    def wanted() -> None:
        dome_password("admin", token, dome=factory.dome)

    (change,) = machine.plan(wanted).changes
    assert change.unknown == ("which password is set: Dome keeps it by argon2",)
    (factory.folder / "manage.py").write_text("import sys; sys.stdin.read()\n")
    machine.apply(wanted)
    assert machine.plan(wanted).empty
    keep(factory, "argon2$edited")
    assert summary(machine.plan(wanted)) == ["~ password admin"]


@pytest.mark.parametrize(
    ("password", "told"),
    [
        ("test0000", "the documented default"),
        ("eve-and-kevin", "not the documented default"),
        (None, "not known"),
    ],
)
def test_the_default_password_is_a_warning(
    machine: Machine, factory: Factory, password: str | None, told: str
) -> None:
    if password:
        token = vault.add(password, "env P")
        machine.apply(lambda: dome_password("admin", token, dome=factory.dome))
    plan = machine.plan(lambda: tell_password("admin"))
    assert plan.empty
    assert plan.about["password of admin"] == told
    assert bool(plan.notices) == (password == "test0000")


# Made with Django 4.2's hashers.
@pytest.mark.parametrize(
    ("encoded", "password", "expected"),
    [
        ("pbkdf2_sha1$1$a$DDXlpz3kPQ4M6WWBx2IW3+hjz4I=", "x", False),
        ("pbkdf2_sha256$x$a$b", "x", None),
        ("pbkdf2_sha256$1", "x", None),
        ("argon2$argon2id$v=19$m=102400,t=2,p=8$a$b", "x", None),
        ("md5$a$b", "x", None),
        ("!unusable", "x", None),
        ("", "x", None),
    ],
)
def test_hashes_of_django(encoded: str, password: str, expected: bool | None) -> None:
    assert verified(encoded, password) is expected


def told(factory: Factory, eve: Wish, wanted: dict[str, Any]) -> Callable[[], None]:
    return lambda: (services(eve, wanted, dome=factory.dome), None)[1]


def test_services_are_merged(machine: Machine, factory: Factory, eve: Wish) -> None:
    wanted = told(
        factory, eve,
        {"instalog": {"archive": {"enable": True, "args": {"interval": 60}}},
         "shop_floor": {"service_url": "http://192.0.2.1:8090"}},
    )  # fmt: skip
    (change,) = machine.apply(wanted)
    assert change.before == {"instalog.archive.enable": "false"}
    assert change.after == {
        "instalog.archive.enable": "true",
        "instalog.archive.args.interval": "60",
        "shop_floor.service_url": '"http://192.0.2.1:8090"',
    }
    assert factory.configs["eve"]["services"] == {
        "instalog": {"active": True, "archive": {"enable": True, "args": {"interval": 60}}},
        "shop_floor": {"service_url": "http://192.0.2.1:8090"},
        "rsync": {},
    }
    plan = machine.plan(wanted)
    assert plan.empty
    assert plan.round_trips <= 2


@pytest.mark.parametrize(
    ("wanted", "words", "hint"),
    [
        ({"dkps": {}}, "does not know", "instalog, rsync, shop_floor"),
        ({"instalog": {"archiv": {}}}, "has no key archiv", "is archive meant"),
        ({"instalog": {"zzz": {}}}, "has no key zzz", "archive, forward, input_http"),
        ({"instalog": {"archive": {"aB": 1}}}, "would rename the key aB", "lower-case"),
        ({"instalog": {"archive": [{"a2": 1}]}}, "would rename the key a2", "lower-case"),
    ],
)
def test_services_that_dome_would_not_take(
    machine: Machine, factory: Factory, eve: Wish, wanted: dict[str, Any], words: str, hint: str
) -> None:
    with pytest.raises(PlanError, match=words) as caught:
        machine.plan(told(factory, eve, wanted))
    assert hint in (caught.value.hint or "")


def test_services_of_an_umpire_that_is_not_up(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    factory.halt("umpire_eve")
    wanted = told(factory, eve, {"instalog": {"active": True}})
    plan = machine.plan(wanted)
    assert plan.changes[0].unknown == ("what is configured: its Umpire has not run yet",)
    factory.up("umpire_eve")
    machine.carry_out(plan)
    assert factory.requests == []


def test_services_are_known_from_the_data_of_an_umpire_that_is_not_up(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    data = Path(factory.dome.data("eve"))
    (data / "resources").mkdir()
    (data / "resources" / "umpire.0.json").write_text(json.dumps(CONFIG, indent=2))
    (data / "active_umpire.json").symlink_to("/in/the/container/resources/umpire.0.json")
    factory.halt("umpire_eve")
    assert machine.plan(told(factory, eve, {"instalog": {"active": True}})).empty
    (change,) = machine.plan(told(factory, eve, {"instalog": {"active": False}})).changes
    assert (change.before, change.unknown) == ({"instalog.active": "true"}, ())


def test_services_that_umpire_refuses(machine: Machine, factory: Factory, eve: Wish) -> None:
    factory.faults["PUT /projects/eve/services/"] = 422
    with pytest.raises(ChangeFailed, match="Dome answered 422 to PUT /projects/eve/services/: as"):
        machine.apply(told(factory, eve, {"rsync": {"active": True}}))
    assert factory.configs["eve"] == CONFIG


def zipped(content: bytes) -> bytes:
    """Give a zip archive of one member, which is not compressed."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr(zipfile.ZipInfo("one"), content)
    return made.getvalue()


def deployed(
    factory: Factory, eve: Wish, content: bytes, name: str = "one.zip"
) -> Callable[[], None]:
    path = factory.folder / "one.zip"
    path.write_bytes(zipped(content) if content else b"")
    bundle = Bundle(str(path), name, 'a "note"')
    return lambda: (resource_bundle(eve, bundle, dome=factory.dome), None)[1]


def active(factory: Factory) -> str:
    return str(factory.configs["eve"]["active_bundle_id"])


def bundles(factory: Factory) -> list[str]:
    return [one["id"] for one in factory.configs["eve"]["bundles"]]


def test_a_bundle_is_uploaded_once(machine: Machine, factory: Factory, eve: Wish) -> None:
    (change,) = machine.apply(deployed(factory, eve, b"PK one"))
    assert str(change.resource) == "bundle eve/one.zip"
    assert change.before == {"active": "empty"}
    assert active(factory) == "one.zip"
    assert factory.configs["eve"]["bundles"][0]["note"] == 'a "note"'
    assert machine.plan(deployed(factory, eve, b"PK one")).empty
    assert not list(machine.state_dir.rglob("*.upload"))


def test_other_content_goes_beside_what_has_the_name(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    machine.apply(deployed(factory, eve, b"PK one"))
    (change,) = machine.apply(deployed(factory, eve, b"PK two"))
    name = active(factory)
    assert name.startswith("one.zip-")
    assert change.after["name"] == f"{name}: Dome has other content under this name, which stays"
    assert bundles(factory) == [name, "one.zip", "empty"]
    (back,) = machine.apply(deployed(factory, eve, b"PK one"))
    assert (back.before, back.after) == ({"active": name}, {"active": "one.zip"})
    assert active(factory) == "one.zip"


def test_another_name_for_what_is_there_sends_nothing(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    name = "other.zip"
    machine.apply(deployed(factory, eve, b"PK one"))
    machine.apply(deployed(factory, eve, b"PK one", name))
    assert active(factory) == name
    assert factory.requests.count("POST /files/") == 1
    assert machine.plan(deployed(factory, eve, b"PK one", name)).empty


def test_another_active_one_is_set_back(machine: Machine, factory: Factory, eve: Wish) -> None:
    machine.apply(deployed(factory, eve, b"PK one"))
    factory.configs["eve"]["active_bundle_id"] = "empty"
    machine.apply(deployed(factory, eve, b"PK one"))
    assert active(factory) == "one.zip"
    assert factory.requests.count("POST /files/") == 1


def test_a_bundle_that_umpire_refuses(machine: Machine, factory: Factory, eve: Wish) -> None:
    with pytest.raises(ChangeFailed, match="it is no archive; what was active stays active"):
        machine.apply(deployed(factory, eve, b"bad"))
    assert active(factory) == "empty"
    machine.apply(deployed(factory, eve, b"PK good"))
    assert active(factory) == "one.zip"


def test_an_upload_whose_answer_was_lost_is_not_repeated(
    machine: Machine, factory: Factory, eve: Wish
) -> None:
    factory.faults["POST /projects/eve/bundles/"] = 504
    with pytest.raises(ChangeFailed, match="it may still be at work"):
        machine.apply(deployed(factory, eve, b"PK one"))
    entry = {"id": "one.zip", "note": "", "payloads": "payload.9.json"}
    factory.configs["eve"]["bundles"].append(entry)
    machine.apply(deployed(factory, eve, b"PK one"))
    assert active(factory) == "one.zip"
    assert factory.requests.count("POST /files/") == 1


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [(b"", "a", "is empty"), (b"x", "a/b", "not a name"), (b"x", "..", "not a name")],
)
def test_what_is_no_bundle(
    machine: Machine, factory: Factory, eve: Wish, content: bytes, name: str, words: str
) -> None:
    with pytest.raises(PlanError, match=words):
        machine.plan(deployed(factory, eve, content, name))


def tarred() -> bytes:
    """Give a compressed tar archive, the same at any time: it is the name of a test, too."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("one"))
    return gzip.compress(made.getvalue(), mtime=0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (zipped(b"one" * 99), None),
        (tarred(), None),
        (zipped(b"one" * 99)[:60], "was cut short"),
        (zipped(b"one" * 99)[:-30], "was cut short"),
        (zipped(b"one" * 99)[40:], "is neither a zip nor a tar archive"),
        (zipped(b"one" * 99).replace(b"PK\x03\x04", b"PK\x03\x05"), "member one is not where"),
        (tarred()[:-9], "was cut short"),
        (b"resources", "is neither a zip nor a tar archive"),
    ],
)
def test_a_bundle_is_looked_at_whether_it_is_whole(
    tmp_path: Path, content: bytes, says: str | None
) -> None:
    path = tmp_path / "eve.zip"
    path.write_bytes(content)
    why = damage(str(path))
    assert (why is None) if says is None else says in (why or "")


IDS = st.sampled_from(["n", "n-00000000", "n-00000000-2", "m"])


@given(st.lists(IDS, unique=True), st.none() | IDS, st.sampled_from(["", "n", "m\np", "n\np"]))
def test_what_is_chosen_never_has_a_name_that_is_taken(
    there: list[str], active: str | None, record: str
) -> None:
    config = {"bundles": [{"id": one, "payloads": "p"} for one in there]}
    verb, name, *other = choose({**config, "active_bundle_id": active}, "n", "0" * 64, record)
    assert (name in there) == (verb in ("nothing", "activate"))
    assert (verb == "nothing") == (name in there and name == active)
    assert all(one in there and verb == "copy" for one in other)
