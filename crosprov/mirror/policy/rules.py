"""The rules of the archive mirrors' policy, as a table."""

from __future__ import annotations

from collections.abc import Mapping

from crosprov.mirror.findings import Rule

_NAMING = "Custom naming"
_INTERNAL = "Internal mirrors"
_UNPACKING = "Unpacking artifacts"
_INTRODUCTION = "ChromiumOS archive mirrors"

NAME_CLASH = Rule(
    "name-clash",
    "One name stands for one content.",
    "{subject} has another content here than in {other}",
    "rename one of the two with '-> name' in SRC_URI; mirrors keep all files in one folder",
    _NAMING,
    "Mirrors and caches merge the files of all packages into one flat folder.",
)
NAME_VERSION = Rule(
    "name-version",
    "A file's name says its version.",
    "the name {subject} says no version",
    "save it under a name with a version: '-> {suggestion}' in SRC_URI",
    _INTRODUCTION,
    "A file is never changed, so the next version needs a name of its own.",
)
NAME_REVISION = Rule(
    "name-revision",
    "A file's name never holds the ebuild's revision.",
    "{subject} brings the revision of the ebuild into the name of a file",
    "use ${{P}} or ${{PV}}; for a changed file raise the version itself, such as to 0.0.1_p1",
    _NAMING,
    "A revision counts changes of the ebuild, not of the files that it fetches.",
)
NAME_GENERIC = Rule(
    "name-generic",
    "A file's name says whose it is.",
    "{subject} is a name that any project could use",
    "save it under the project's name: '-> {suggestion}' in SRC_URI",
    _NAMING,
    "A name must be unique among all packages, whatever the rest of its URI is.",
)
OWN_FORMAT = Rule(
    "own-format",
    "An archive of one's own is an xz tarball.",
    "{subject} on {bucket} is no xz tarball",
    "pack it with crosprov mirror pack; for an archive that upstream made so, allow it and say so",
    "Archive format and compression",
    "Everybody has tar, and xz is the smallest to keep and to fetch.",
)
OWN_LAYOUT = Rule(
    "own-layout",
    "An archive of one's own holds one folder, named as the archive.",
    "{subject} {problem}",
    "keep everything in one folder {folder}/, as crosprov mirror pack does",
    "Source layout",
    "Several archives unpacked by one ebuild must not collide.",
)
SUBDIRECTORY = Rule(
    "subdirectory",
    "Files lie directly below a mirror's distfiles.",
    "{uri} lies in a folder below the mirror's distfiles",
    "put the file directly below distfiles: the folder is lost when it is mirrored",
    "Subdirectories",
    "A folder does not make a name unique.",
)
PRIVATE_MIRROR = Rule(
    "private-mirror",
    "A public tree never refers to what only insiders can read.",
    "a public tree refers to {what}",
    "move the ebuild to a private tree, or publish the file on a public mirror",
    "Overlays vs mirrors",
    "Nobody outside could build it, and nobody could tell what is private.",
)
PRIVATE_UNRESTRICTED = Rule(
    "private-unrestricted",
    "An ebuild that uses a private mirror sets RESTRICT=mirror.",
    "{subject} is on a private mirror only, and RESTRICT has no mirror",
    'set RESTRICT="mirror": else only the public mirrors are asked for it',
    _INTERNAL,
    "The default list of mirrors holds the public ones only.",
)
RESTRICT_EXTERNAL = Rule(
    "restrict-external",
    "RESTRICT=mirror never goes with an external site.",
    'RESTRICT="mirror" keeps {subject} of {host} off the mirrors',
    "remove mirror from RESTRICT, and put the file on a mirror",
    _INTERNAL,
    "Builds fetch from the mirrors only, not from sites that come and go.",
)
RESTRICT_NEEDLESS = Rule(
    "restrict-needless",
    "RESTRICT=mirror is for files on private mirrors only.",
    'RESTRICT="mirror" is of no use: {reason}',
    "remove mirror from RESTRICT",
    _INTERNAL,
    "The setting is valid only for a file that is on an internal mirror.",
)
BUCKET = Rule(
    "bucket",
    "Ebuilds fetch from the documented buckets only.",
    "{subject} is fetched from the bucket {bucket}, which is not for ebuilds",
    "copy the file to one of {allowed} and refer to it there",
    "Other buckets",
    "The other buckets may change or disappear.",
)
MIRROR_DIRECT = Rule(
    "mirror-direct",
    "SRC_URI names upstream, not an automatic mirror.",
    "{subject} is asked of the automatic mirror {bucket} itself",
    "write upstream's own address into SRC_URI; the mirror is asked in any case",
    "SRC_URI setting",
    "Only files that exist nowhere else are named by a mirror's address.",
)
UNMIRRORED = Rule(
    "unmirrored",
    "Every file is on a mirror.",
    "{subject} {problem}",
    "{advice}",
    _INTRODUCTION,
    "A build must not depend on sites that change and disappear.",
)
MANIFEST = Rule(
    "manifest",
    "Every file that is fetched has a sound entry in the Manifest.",
    "{problem}",
    "{advice}",
    "Updating Manifest files",
    "Each file that is fetched is checked against its entry.",
)
CHANGED = Rule(
    "changed",
    "A file that was used once is never changed.",
    "{subject} is another file since commit {commit} ({date}): {old} became {new}",
    "keep the file as it was, and give the new one a name of its own, such as {suggestion}",
    _INTRODUCTION,
    "Whoever has the old file, as mirrors and older branches do, breaks at once.",
)
BINARY = Rule(
    "binary",
    "A tree of ebuilds holds no binaries.",
    "{subject} is a binary ({kind}) in a tree of ebuilds",
    "put it on a mirror in a tarball and name it in SRC_URI",
    _INTRODUCTION,
    "What is in the history stays there for ever, and every checkout carries it.",
)
ENCODED_BINARY = Rule(
    "encoded-binary",
    "A tree of ebuilds holds no binaries written as text.",
    "{subject} holds a binary written as text ({kind})",
    "put the binary on a mirror in a tarball and name it in SRC_URI",
    _INTRODUCTION,
    "A blob that is copied from one place to another is a binary in any encoding.",
)
SELF_UNPACK = Rule(
    "self-unpack",
    "Ebuilds unpack with unpack.",
    "{subject} is run to unpack",
    "use unpack: a bare name for a file of SRC_URI, ./name for a file at hand",
    _UNPACKING,
    "unpack gives the files the right owners and permissions.",
)
UNPACK_PATH = Rule(
    "unpack-path",
    "unpack is given names and relative paths.",
    "unpack is given a full path, {subject}",
    "give it the name alone, or a path that begins with ./",
    _UNPACKING,
    "unpack works on names of SRC_URI and on relative paths.",
)
ALLOW_LIST = Rule(
    "allow-list",
    "An exception names a rule that exists and its reason.",
    "{problem}",
    "{advice}",
    "",
    "An exception without a rule and a reason is a rule given up.",
)

RULES: Mapping[str, Rule] = {
    rule.id: rule for rule in list(globals().values()) if isinstance(rule, Rule)
}
