"""Which options nine revisions of devserver.py have, and the help that optparse prints for them.

The lists were read from the revisions; no text of theirs is here. Python's own optparse, which
all of them use, makes the help, so that the parser meets the form of the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from optparse import OptionGroup, OptionParser

_USAGE = "%prog [options]\n\nA server.\n\n  -z is no option of its own, nor is --nothing=X\n"


@dataclass(frozen=True, slots=True)
class Generation:
    """A revision of platform/dev-util; options are `-u/--urlbase=URL`, without `=` for flags."""

    commit: str
    date: str
    options: str
    deprecated: str = ""

    @property
    def spellings(self) -> dict[str, bool]:
        """Map each spelling to whether it takes a value."""
        return {
            name: "=" in option
            for option in self.options.split()
            for name in option.partition("=")[0].split("/")
        }

    def help(self, width: int = 80) -> str:
        """Give what it prints for `--help` on a terminal of this width."""
        parser = OptionParser(prog="devserver.py", usage=_USAGE)
        group = OptionGroup(parser, "Advanced Options", "These change --port and others.")
        for number, option in enumerate(self.options.split()):
            spelling, _, name = option.partition("=")
            words = "Deprecated." if spelling == self.deprecated else f"it does work {number} " * 4
            (group if number % 2 else parser).add_option(
                *spelling.split("/"),
                action="store" if "=" in option else "store_true",
                metavar=name or None,
                help=words,
            )
        parser.add_option_group(group)
        parser.formatter.width = width - 2
        return parser.format_help()


_OF_2013 = (
    "--exit --host_log --max_updates=NUM --private_key=PATH --proxy_port=PORT --remote_payload "
    "-u/--urlbase=URL --board= --critical_update --image=FILE --payload=PATH "
    "-p/--pregenerate_update --src_image=PATH --clear_cache --logfile=PATH --production --port= "
    "-t/--test_image"
)
_OF_2014 = (
    f"{_OF_2013} --private_key_for_metadata_hash_signature=PATH --public_key=PATH --pidfile=PATH "
    "--static_dir=PATH -x/--xbuddy_manage_builds"
)
_OF_2020 = (
    "--exit --clear_cache --logfile=PATH --pidfile=PATH --portfile=PATH --production "
    "--static_dir=PATH --port= -t/--test_image -x/--xbuddy_manage_builds "
    "-a/--android_build_credential="
)

GENERATIONS = (
    Generation(
        "5d342a27", "2010-09-28",
        "--archive_dir= --client_prefix= --factory_config= --image= -t -u/--urlbase= --use_cached "
        "--validate_factory_config",
    ),
    Generation(
        "2bfab982", "2011-05-23",
        "--archive_dir= --board= --clear_cache --client_prefix= --data_dir= --exit "
        "--factory_config= --for_vm --image= -p/--pregenerate_update --payload= --port= "
        "--private_key= --production --proxy_port= --src_image= -t -u/--urlbase= "
        "--validate_factory_config",
    ),
    Generation(
        "3d6d3d92", "2012-05-16",
        "--archive_dir= --board= --clear_cache --client_prefix= --critical_update --data_dir= "
        "--exit --factory_config= --for_vm --image= -p/--pregenerate_update --payload= --port= "
        "--private_key= --production --proxy_port= --src_image= -t -u/--urlbase= "
        "--validate_factory_config -l/--log-dir=",
    ),
    Generation(
        "f5ce2de2", "2013-04-30",
        f"{_OF_2013} --for_vm --no_patch_kernel --archive_dir=PATH --data_dir=PATH",
    ),
    Generation("f84631a5", "2014-01-09", f"{_OF_2014} --no_patch_kernel", "-t/--test_image"),
    Generation(
        "58d08930", "2018-02-13",
        f"{_OF_2014} --portfile=PATH -a/--android_build_credential=", "-t/--test_image",
    ),
    Generation(
        "662fb72a", "2019-11-06",
        f"{_OF_2020} --host_log --max_updates=NUM --proxy_port=PORT --critical_update "
        "--payload=PATH", "-t/--test_image",
    ),
    Generation("07d47ed2", "2020-08-10", f"{_OF_2020} --infra_removal", "-t/--test_image"),
    Generation("8b0fc37c", "2022-09-09", f"{_OF_2020} --infra_removal", "-t/--test_image"),
)  # fmt: skip
BY_YEAR = {generation.date[:4]: generation for generation in GENERATIONS}
