"""What is known of payloads: by their metadata, by their bytes and names, and kept."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import threading
from pathlib import Path

import pytest

from crosprov.devserver import digests
from crosprov.devserver.digests import Digester
from crosprov.devserver.payloads import Payload, Unusable, delta_payloads, describe, full_payloads
from crosprov.twin.payload import APPID, Build, write_build

BUILD = Build("eve", "15663.0.0", 121, size=5000)


def _write(path: Path, content: bytes = b"no payload") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _header(version: int, manifest: int, rest: int) -> bytes:
    return b"CrAU" + struct.pack(">QQI", version, manifest, 0) + bytes(rest)


@pytest.mark.parametrize(
    ("head", "size", "length"),
    [
        (_header(2, 100, 0), 1000, 124),
        (_header(1, 100, 0), 1000, 120),
        (_header(3, 100, 0), 1000, 0),
        (_header(2, 977, 0), 1000, 0),
        (_header(2, 976, 0), 1000, 1000),
        (b"CrAV" + _header(2, 100, 0)[4:], 1000, 0),
        (b"CrAU", 4, 0),
        (b"", 0, 0),
    ],
)
def test_the_header_tells_the_length_of_the_metadata(head: bytes, size: int, length: int) -> None:
    assert digests.metadata_size(head[:24], size) == length


FULL = "chromeos_R121-15663.0.0_eve_full_dev.bin"
DELTA = "chromeos_R121-15662.0.0_R121-15663.0.0_eve_delta_dev.bin"


@pytest.mark.parametrize(
    ("names", "full", "delta"),
    [
        ([FULL, f"{FULL}.json", "stateful.tgz"], [FULL], []),
        ([FULL, "update.gz", DELTA], [FULL, "update.gz"], [DELTA]),
        (["chromeos_15663.0.0_eve_full_dev-channel.bin"], 1, []),
        (["chromeos_R121-15663.0.0_eve_dev.bin"], 1, []),
        (["update.gz"], ["update.gz"], []),
        (["au/R1-1.2.3_nton/update.gz", "au/R1-1.2.3_mton/update.gz", "au/x/update.gz"], [], 2),
        (["full_dev_part_ROOT.bin.gz", "chromiumos_test_image.bin", "update.meta"], [], []),
        (["chromeos_\n_full_dev.bin", "chromeos_a b_eve_full_dev.bin"], [], []),
    ],
)
def test_payloads_of_both_eras_are_found(
    tmp_path: Path, names: list[str], full: list[str] | int, delta: list[str] | int
) -> None:
    for name in names:
        _write(tmp_path / name)
    for found, wanted in ((full_payloads(tmp_path), full), (delta_payloads(tmp_path), delta)):
        shown = [str(path.relative_to(tmp_path)) for path in found]
        assert (len(shown) if isinstance(wanted, int) else shown) == wanted


def test_links_and_folders_are_no_payloads(tmp_path: Path) -> None:
    (tmp_path / "update.gz").symlink_to("/etc/passwd")
    (tmp_path / FULL).mkdir()
    assert full_payloads(tmp_path) == delta_payloads(tmp_path / "none") == []


@pytest.mark.parametrize(
    ("name", "version", "is_delta", "source"),
    [
        (f"eve-release/R121-15663.0.0/{FULL}", "15663.0.0", False, ""),
        (f"eve-release/R121-15663.0.0/{DELTA}", "15663.0.0", True, "15662.0.0"),
        ("eve-release/R65-10323.0.0/update.gz", "10323.0.0", False, ""),
        ("eve-release/R65-10323.0.0-b12/update.gz", "10323.0.0", False, ""),
        ("forced_payload/update.gz", "999999.0.0", False, ""),
        ("e/R65-1.2.3/au/R65-1.2.3_nton/update.gz", "1.2.3", True, "1.2.3"),
        ("e/R65-1.2.3/au/R65-1.2.3_mton/update.gz", "1.2.3", True, ""),
    ],
)
def test_names_tell_what_metadata_do_not(
    tmp_path: Path, name: str, version: str, is_delta: bool, source: str
) -> None:
    content = _header(2, 10, 50)
    payload = describe(_write(tmp_path / name, content), Digester())
    assert (payload.version, payload.is_delta, payload.source_version) == (
        version,
        is_delta,
        source,
    )
    assert payload.digests.sha256 == hashlib.sha256(content).hexdigest()
    assert payload.digests.sha1 == hashlib.sha1(content).hexdigest()
    assert (payload.digests.size, payload.digests.metadata_size) == (len(content), 34)


def _described(folder: Path, **changes: object) -> Payload:
    path = write_build(folder, BUILD)
    beside = path.with_name(f"{path.name}.json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | changes))
    return describe(path, Digester())


def test_metadata_are_told(tmp_path: Path) -> None:
    payload = _described(tmp_path, metadata_signature="c2ln", public_key="a2V5")
    assert (payload.version, payload.appid) == ("15663.0.0", APPID)
    assert (payload.metadata_signature, payload.public_key) == ("c2ln", "a2V5")
    assert not payload.is_delta


def test_an_appid_of_null_is_any_app_and_a_digest_may_be_hexadecimal(tmp_path: Path) -> None:
    path = write_build(tmp_path, BUILD)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert _described(tmp_path, appid=None, sha256_hex=digest.upper()).appid == ""


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": 5}, "size is 5, but the payload's is"),
        ({"size": None}, "size is None"),
        ({"size": True}, "size is True"),
        ({"metadata_size": 1}, "metadata_size is 1"),
        ({"sha256_hex": "nonsense"}, "sha256_hex is 'nonsense'"),
        ({"sha256_hex": base64.b64encode(bytes(32)).decode()}, "the payload's sha256 is"),
        ({"sha256_hex": None}, "sha256_hex is ''"),
        ({"target_version": ""}, "target_version is missing"),
        ({"target_version": 5}, "target_version must be a text"),
        ({"target_version": "1\x00"}, "target_version must be a text"),
        ({"is_delta": "yes"}, "is_delta must be true or false"),
        ({"is_delta": True}, "a delta needs a source_version"),
    ],
)
def test_metadata_that_contradict_the_payload_are_refused(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(Unusable, match="does not fit its payload") as error:
        _described(tmp_path, **changes)
    assert sentence in str(error.value)


@pytest.mark.parametrize("text", ["", "[1]", "5", "nonsense", "[" * 9999, '"text"', " " * 70_000])
def test_metadata_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    path = write_build(tmp_path, BUILD)
    path.with_name(f"{path.name}.json").write_text(text)
    with pytest.raises(Unusable, match="does not fit its payload"):
        describe(path, Digester())


def test_digests_are_kept_beside_the_payload_until_it_changes(tmp_path: Path) -> None:
    path = _write(tmp_path / "update.gz", b"one")
    Digester().digest(path)
    kept = json.loads((tmp_path / "update.meta").read_text())
    assert kept["sha1"] == base64.b64encode(hashlib.sha1(b"one").digest()).decode()

    kept["metadata_size"] = 7  # shows whether it is read
    (tmp_path / "update.meta").write_text(json.dumps(kept))
    again = Digester()
    assert again.digest(path).metadata_size == 7

    _write(tmp_path / "new", b"two").rename(path)
    expected = hashlib.sha256(b"two").hexdigest()
    assert again.digest(path).sha256 == Digester().digest(path).sha256 == expected
    assert json.loads((tmp_path / "update.meta").read_text())["metadata_size"] == 0


@pytest.mark.parametrize(
    "damage", ["", "[]", "{}", "null", '{"stamp": 5}', '{"sha1": "x"}', "[" * 9999, "\xff"]
)
def test_kept_digests_that_cannot_be_read_are_made_anew(tmp_path: Path, damage: str) -> None:
    path = _write(tmp_path / FULL, b"one")
    first = Digester().digest(path)
    memo = tmp_path / f"{FULL}.meta"
    good = memo.read_text()
    memo.write_bytes(damage.encode("latin-1"))
    assert Digester().digest(path) == first
    assert memo.read_text() == good


@pytest.mark.parametrize("key", ["sha1", "sha256", "size"])
def test_kept_digests_of_a_wrong_form_are_made_anew(tmp_path: Path, key: str) -> None:
    path = _write(tmp_path / "update.gz", b"one")
    first = Digester().digest(path)
    memo = tmp_path / "update.meta"
    memo.write_text(
        json.dumps(json.loads(memo.read_text()) | {key: 12345 if key == "size" else ""})
    )
    assert Digester().digest(path) == first


def test_one_payload_is_read_once_for_many_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write(tmp_path / "update.gz", os.urandom(3_000_000))
    reads = []
    compute = digests._compute

    def counted(path: Path) -> tuple[digests.Stamp, digests.Digests]:
        reads.append(path)
        return compute(path)

    monkeypatch.setattr(digests, "_compute", counted)
    digester = Digester(lambda path: tmp_path / "nowhere" / "memo")  # nothing can be kept there
    threads = [threading.Thread(target=digester.digest, args=(path,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reads == [path]


def test_a_payload_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"update.gz cannot be read: No such file"):
        describe(tmp_path / "update.gz", Digester())
