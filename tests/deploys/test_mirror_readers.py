"""Who reads private mirrors: passwords on the mirror host, logins on dev hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosprov.crypt import sha512_crypt
from crosprov.derivation import sha512_salt
from crosprov.errors import PlanError
from crosprov.inventory.lab import Lab
from crosprov.planning.plan import Write
from tests.deploys import labs

SITE = "/etc/nginx/conf.d/crosprov-mirror.conf"
READERS = "/etc/nginx/crosprov-mirror.readers"
NETRC = "/etc/crosprov/mirrors.netrc"
MAKE_CONF = "/etc/crosprov/make.conf.mirrors"
PRIVATE = ("localmirror: {kind: manual,", "localmirror: {kind: manual, visibility: private,")
READER = ("port: 8081", "port: 8081, readers: {dev1: {file: dev1}, ci: {file: ci}}")
NAMED = ("mirrors: mirror1", "mirrors: mirror1, mirror_login: {reader: ci, owner: 250, "
         "netrc: /srv/chroot/etc/netrc, seen_as: /etc/netrc}")  # fmt: skip


def lab_of(folder: Path, *changes: tuple[str, str], password: str = "s3cret-of-dev1") -> Lab:
    (folder / "dev1").write_text(f"{password}\n")
    (folder / "ci").write_text("s3cret-of-ci\n")
    return labs.read(folder, *changes)


def test_the_server_gets_hashes_that_only_it_reads(tmp_path: Path) -> None:
    host = labs.settled(lab_of(tmp_path, PRIVATE, READER), "mirror1")
    placed = host.paths[READERS]
    assert (placed.mode, placed.owner, placed.group) == ("0640", "root", "www-data")
    assert placed.content.decode().splitlines() == [
        f"{name}:" + sha512_crypt(f"s3cret-of-{name}", sha512_salt("demo", "mirror1", name))
        for name in ("dev1", "ci")
    ]
    site = host.paths[SITE].content.decode()
    public, _, private = site.partition("location /localmirror/distfiles/")
    assert "auth_basic" not in public
    assert f"auth_basic_user_file {READERS};" in private and "allow" not in private


def test_no_password_and_no_hash_is_in_a_plan(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, PRIVATE, READER)
    for name in ("mirror1", "dev1"):
        changes = labs.fresh().plan(labs.model(lab, name)).changes
        assert "s3cret" not in repr(changes) and "$6$" not in repr(changes)
        written = [step for one in changes for step in one.steps if isinstance(step, Write)]
        assert all(b"s3cret" not in one.content and b"$6$" not in one.content for one in written)


def test_a_dev_host_logs_in_as_the_reader_of_its_name(tmp_path: Path) -> None:
    host = labs.settled(lab_of(tmp_path, PRIVATE, READER), "dev1")
    placed = host.paths[NETRC]
    assert (placed.mode, placed.owner) == ("0600", "root")
    assert placed.content == b"machine 10.0.0.5\nlogin dev1\npassword s3cret-of-dev1\n"
    text = host.paths[MAKE_CONF].content.decode()
    assert text.count(f'="curl --netrc-file {NETRC} --') == 2 and "s3cret" not in text


def test_builds_in_a_chroot_see_the_file_elsewhere(tmp_path: Path) -> None:
    host = labs.settled(lab_of(tmp_path, PRIVATE, READER, NAMED), "dev1")
    placed = host.paths["/srv/chroot/etc/netrc"]
    assert b"login ci\n" in placed.content and placed.owner == "250"
    assert "curl --netrc-file /etc/netrc --" in host.paths[MAKE_CONF].content.decode()
    assert NETRC not in host.paths


def test_a_login_goes_with_the_readers(tmp_path: Path) -> None:
    for name, path in (("mirror1", READERS), ("dev1", NETRC)):
        host = labs.settled(lab_of(tmp_path, PRIVATE, READER), name)
        host.take_in(host.plan(labs.model(lab_of(tmp_path, PRIVATE), name)))
        assert path not in host.paths


def test_a_dev_host_that_no_reader_is_named_as_is_told(tmp_path: Path) -> None:
    alone = (READER[0], "port: 8081, readers: {ci: {file: ci}}")
    (notice,) = labs.fresh().plan(labs.model(lab_of(tmp_path, PRIVATE, alone), "dev1")).notices
    assert notice.startswith("builds cannot read the private mirrors localmirror of mirror1")
    other = ("mirrors: mirror1", "mirrors: mirror1, mirror_login: {reader: dev2}")
    with pytest.raises(PlanError, match="as the reader dev2, whom mirror1 does not have"):
        labs.fresh().plan(labs.model(lab_of(tmp_path, PRIVATE, READER, other), "dev1"))


def test_readers_without_a_private_mirror_are_told(tmp_path: Path) -> None:
    (notice,) = labs.fresh().plan(labs.model(lab_of(tmp_path, READER), "mirror1")).notices
    assert notice == "the readers of mirror1 read private mirrors, and it serves public ones only"


@pytest.mark.parametrize("password", ["two words", 'quo"te', "back\\slash", "ümlaut", "#x" * 99])
def test_a_password_that_a_netrc_cannot_hold_is_refused(tmp_path: Path, password: str) -> None:
    lab = lab_of(tmp_path, PRIVATE, READER, password=password)
    with pytest.raises(PlanError, match="password of the reader dev1 has signs") as refused:
        labs.fresh().plan(labs.model(lab, "mirror1"))
    assert password not in str(refused.value)
