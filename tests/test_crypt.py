"""Hashes of passwords, against those that other programs made."""

from __future__ import annotations

import pytest

from crosprov.crypt import sha512_crypt

# Made by OpenSSL 3.0: openssl passwd -6 -salt SALT PASSWORD.
MADE = [
    ("Hello world!", "saltstring",
        "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"),
    ("x", "a",
        "AvQLBHPFSbE4d9QOBrglBdXuv.jRoEFLHgWJlsZ6XhNHrxkMbotj9kAr0GGhdZ5XM6DM29/LJ9jZin3Aj8Tph0"),
    ("päß wort", "./Zz09",
        "lHiDAEpg8DbdCeyPWNS.oC18Idfuc6vVErkBaC6mf3g2UCyiCduJ0jhAGup2ipi/sDGD6KQiyZoq7tDGpc2Gs/"),
    ("b" * 64, "1234567890123456",
        "gNKpVsFil3RVjKXA.FKpwFmYux1vnRKN.uBdTYX57sec58ATwO1iK9/RARIs4QVX1v6Twuhx0blcJ78LbhOOM/"),
    ("c" * 130, "q.",
        "uwvRyJRMCvsFjXsldfB5JiP69DWwdTfl4.g/mFBxSFkfII84SpVB77ANvPV9ibV7uBJz4jWuCOn6ztHXl/zSK."),
]  # fmt: skip


@pytest.mark.parametrize(("password", "salt", "made"), MADE)
def test_a_hash_is_the_one_that_others_make(password: str, salt: str, made: str) -> None:
    assert sha512_crypt(password, salt) == f"$6${salt}${made}"


@pytest.mark.parametrize("salt", ["", "a" * 17, "a$b", "ä"])
def test_what_is_no_salt_is_refused(salt: str) -> None:
    with pytest.raises(ValueError, match="1 to 16"):
        sha512_crypt("x", salt)
