"""What is judged before a checkout's devserver is started: one harm each, and its sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from crosprov.chromiumos.options import Value
from crosprov.chromiumos.preflight import Intent, preflight
from crosprov.errors import PlanError
from crosprov.facts.chromiumos import CheckoutState, Listener, Space
from tests.chromiumos.generations import BY_YEAR

UNIT = "devserver.service"
KEYS: dict[str, Value] = {"port": 8080, "static_dir": "/srv/static", "production": True}
SOUND = CheckoutState(
    checkout=True, devserver=True, readable=True, chromite=True, wants_chromite=True,
    boards=("eve",), python="/usr/bin/python3", status=0, help=BY_YEAR["2022"].help(),
)  # fmt: skip
OLD = BY_YEAR["2018"].help()
INTENT = Intent("/co", "devserver", UNIT, KEYS)


def test_a_sound_checkout_gets_its_command_line_and_no_word() -> None:
    line = preflight(INTENT, SOUND)
    assert line.words == ("--port", "8080", "--static_dir", "/srv/static", "--production")
    assert not line.misfits and not line.notices


@pytest.mark.parametrize(
    ("harm", "keys", "sentence", "hint"),
    [
        ({"checkout": False}, {}, "there is no checkout at /co", "repo sync"),
        ({"devserver": False}, {}, "/co has no src/platform/dev/devserver.py", "embedded"),
        ({"chromite": False}, {}, "/co has no chromite", "/co/chromite"),
        ({"python": "", "shebang": "python2"}, {}, "wants python2, and the host has none",
         "`python`"),
        ({"readable": False, "status": None}, {}, "devserver may not read /co/src", "chmod"),
        ({"status": 1, "help": "Traceback\nImportError: no cherrypy\n"}, {},
         "does not start with /usr/bin/python3: ImportError: no cherrypy", "cherrypy"),
        ({"status": 124, "help": ""}, {}, "does not answer --help within 20 s", None),
        ({"help": "hello"}, {}, "lists no options", None),
        ({"listeners": (Listener("nginx", "nginx.service"),)}, {},
         "port 8080 is taken by nginx (nginx.service)", "Umpire"),
        ({"listeners": (Listener("docker-proxy", "docker.service"), Listener("x"))}, {"port": 81},
         "port 81 is taken by docker-proxy (docker.service) and x", "another `port`"),
        ({"space": Space.NONE}, {}, "less than 1 GB is free for /srv/static", "remove builds"),
        ({"boards": ()}, {}, "no packages are built in /co", "build_packages"),
        ({"help": OLD, "missing": frozenset({"/u.gz"})}, {"payload": "/u.gz"},
         "`payload` names /u.gz, which is not on the host", None),
        ({"help": OLD}, {"image": "/i", "pregenerate_update": True},
         "`image` and `pregenerate_update` would make a payload", "stage it"),
        ({}, {"image": "/i"},
         "`image` needs --image, which devserver.py had from 2010-09-15 to 2019-08-23; the one of "
         "this checkout does not know it, for it is of 2020-02-13 or later", "cros_generate"),
    ],
)  # fmt: skip
def test_each_harm_has_its_sentence(
    harm: dict[str, Any], keys: dict[str, Any], sentence: str, hint: str | None
) -> None:
    intent = replace(INTENT, keys={**KEYS, **keys})
    with pytest.raises(PlanError) as refused:
        preflight(intent, replace(SOUND, **harm))
    assert sentence in refused.value.message
    assert ";" not in refused.value.message.replace("23; the one", "")  # and no other sentence
    assert hint is None or hint in (refused.value.hint or "")


def test_all_harms_of_a_kind_come_at_once() -> None:
    seen = replace(SOUND, space=Space.NONE, listeners=(Listener("x"),), boards=())
    with pytest.raises(PlanError) as refused:
        preflight(replace(INTENT, keys={**KEYS, "image": "/i", "board": "eve"}), seen)
    for words in ("`image`", "`board`", "know them", "taken by x", "1 GB", "no packages"):
        assert words in refused.value.message
    assert "chroot" not in refused.value.message  # about an option that is refused anyway


@pytest.mark.parametrize(
    ("harm", "intent", "notices"),
    [
        ({"listeners": (Listener("python", UNIT),)}, INTENT, 0),  # itself
        ({"inside_chroot": True, "help": OLD}, replace(INTENT, keys={**KEYS, "image": "/i"}), 0),
        ({"chromite": False, "wants_chromite": False}, INTENT, 0),
        ({"space": Space.LITTLE}, INTENT, 1),
        ({"boards": ()}, replace(INTENT, serves=True), 1),
        ({}, replace(INTENT, keys={**KEYS, "test_image": True}), 1),
    ],
)
def test_what_is_no_harm_is_at_most_worth_a_word(
    harm: dict[str, Any], intent: Intent, notices: int
) -> None:
    assert len(preflight(intent, replace(SOUND, **harm)).notices) == notices
