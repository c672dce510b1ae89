from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from crosprov.errors import TwinError
from crosprov.twin.record import LabRecord, load, save
from crosprov.twin.subnets import lab_addresses
from tests.twin.conftest import LAB_SPEC

RECORD = LabRecord(LAB_SPEC, IPv4Network("10.80.1.0/24"), lab_addresses(LAB_SPEC.hosts))


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    save(tmp_path / "lab.json", RECORD)
    assert load(tmp_path / "lab.json") == RECORD


def test_no_file_is_no_lab(tmp_path: Path) -> None:
    assert load(tmp_path / "lab.json") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "hosts": [{}]}', "\ufeff{"]
)
def test_what_is_no_record_is_refused_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lab.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TwinError, match="not the record of a virtual lab") as caught:
        load(path)
    assert caught.value.hint


def test_each_host_has_a_management_address_besides_the_gateway() -> None:
    addresses = [seat.management for seat in RECORD.seats]
    assert RECORD.gateway == IPv4Address("10.80.1.1")
    assert len({RECORD.gateway, *addresses}) == len(LAB_SPEC.hosts) + 1
    assert all(address in RECORD.subnet for address in addresses)


def test_an_unknown_twin_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(TwinError, match="no twin named dev2") as caught:
        RECORD.seat("dev2")
    assert caught.value.hint == (
        "it has dev1, mirror1, dut01; when the inventory has others by now, take it down first: "
        "crosprov twin down tests, then crosprov twin up"
    )
