"""Where files come from: private mirrors, RESTRICT, buckets, folders of a mirror."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from urllib.parse import urlsplit

from crosprov.mirror.findings import Finding
from crosprov.mirror.model import Place
from crosprov.mirror.policy import rules
from crosprov.mirror.policy.buckets import Buckets, Object, object_of
from crosprov.mirror.policy.shell import Command, commands_of
from crosprov.mirror.policy.subjects import Ebuild, Script
from crosprov.mirror.uris import Source

# The eclasses that write addresses of the partners' bucket into SRC_URI.
PARTNER_ECLASSES = frozenset({"cros-binary", "cros-cpfe"})

_ADDRESS = re.compile(r"(?:gs|https?)://[^\s\"'`()<>;|]+", re.IGNORECASE)


def find_places(ebuild: Ebuild, buckets: Buckets, *, public: bool) -> Iterator[Finding]:
    """Judge where an ebuild fetches from, and what its RESTRICT says about that."""
    sources = ebuild.sources or ()
    objects = {source: object_of(source.uri) for source in sources}
    for source, thing in objects.items():
        if thing is not None:
            yield from _judge_object(ebuild, source, thing, buckets)
    if public:
        yield from find_private(ebuild, sources, buckets)
    if ebuild.sources is not None:
        yield from _judge_restrict(ebuild, objects, buckets)


def _judge_object(
    ebuild: Ebuild, source: Source, thing: Object, buckets: Buckets
) -> Iterator[Finding]:
    place = ebuild.place_of(source)
    if buckets.is_foreign(thing):
        return
    if thing.bucket in buckets.automatic:
        yield rules.MIRROR_DIRECT.at(place, source.name, bucket=thing.bucket)
    elif thing.bucket not in buckets.allowed:
        allowed = ", ".join(sorted(buckets.own))
        yield rules.BUCKET.at(place, source.name, bucket=thing.bucket, allowed=allowed)
    elif thing.bucket in buckets.own and _is_in_folder(thing):
        yield rules.SUBDIRECTORY.at(place, source.name, uri=source.uri)


def _is_in_folder(thing: Object) -> bool:
    """Tell whether more than distfiles lies before the name; doubled slashes are none."""
    folders = [part for part in thing.path.split("/")[:-1] if part]
    return folders not in ([], ["distfiles"])


def find_private(
    ebuild: Ebuild, sources: tuple[Source, ...], buckets: Buckets
) -> Iterator[Finding]:
    """Find what outsiders cannot read: in the code, or in SRC_URI where an eclass wrote it.

    An eclass that can write such addresses is held against an ebuild when it is not known
    which it did write.
    """
    lines = dict(private_lines(ebuild.text, buckets, eclasses=ebuild.sources is None))
    if not lines:
        for source in sources:
            thing = object_of(source.uri)
            if thing is not None and thing.bucket in buckets.hidden:
                lines.setdefault(ebuild.place_of(source).line, f"gs://{thing.bucket}")
    for line, what in lines.items():
        yield rules.PRIVATE_MIRROR.at(Place(ebuild.path, line), what, what=what)


def find_private_code(script: Script, buckets: Buckets) -> Iterator[Finding]:
    """Find what outsiders cannot read in the code of an eclass.

    Those that exist to fetch from there break nothing; a public ebuild that inherits one does.
    """
    if PurePath(script.path).stem in PARTNER_ECLASSES:
        return
    for line, what in dict(private_lines(script.text, buckets, eclasses=True)).items():
        yield rules.PRIVATE_MIRROR.at(Place(script.path, line), what, what=what)


def private_lines(text: str, buckets: Buckets, *, eclasses: bool) -> Iterator[tuple[int, str]]:
    """Yield the lines of a shell text on which its code names what outsiders cannot read."""
    if not any(name in text for name in (*buckets.hidden, *PARTNER_ECLASSES)):
        return
    for command in commands_of(text):
        if eclasses:
            yield from _inherited(command)
        for word in command.words:
            for found in _ADDRESS.finditer(word.text):
                thing = object_of(found[0])
                if thing is not None and thing.bucket in buckets.hidden:
                    line = word.line + word.text.count("\n", 0, found.start())
                    yield line, f"gs://{thing.bucket}"


def _inherited(command: Command) -> Iterator[tuple[int, str]]:
    if command.words[0].text == "inherit":
        for word in command.words[1:]:
            if word.plain in PARTNER_ECLASSES:
                yield word.line, f"the partners' files ({word.plain}.eclass)"


def _judge_restrict(
    ebuild: Ebuild, objects: dict[Source, Object | None], buckets: Buckets
) -> Iterator[Finding]:
    """Hold RESTRICT against where the files are; prefixes of EAPI 8 lift it for one file."""
    restricted = "mirror" in ebuild.restrict
    hidden = {s for s, thing in objects.items() if thing and thing.bucket in buckets.hidden}
    public = {s for s, thing in objects.items() if thing and not buckets.is_foreign(thing)} - hidden
    for source in objects:
        lifted = source.prefix == "mirror"
        if source in hidden and (lifted or not restricted):
            yield rules.PRIVATE_UNRESTRICTED.at(ebuild.place_of(source), source.name)
    if not restricted:
        return
    external = [s for s in objects if s not in hidden | public and s.prefix != "mirror"]
    for source in _first_of_each_host(external):
        yield rules.RESTRICT_EXTERNAL.at(
            ebuild.place_of(source), source.name, host=_host_of(source)
        )
    filled = buckets.automatic | buckets.public
    if all(thing is not None and thing.bucket in filled for thing in objects.values()):
        yield from _judge_needless(ebuild, bool(objects))


def _judge_needless(ebuild: Ebuild, fetches: bool) -> Iterator[Finding]:
    """Find a RESTRICT that the ebuild itself sets for nothing.

    An eclass sets it for all its ebuilds, and one that builds from a repository when its
    version is 9999 may fetch files when it is another.
    """
    place = ebuild.place_of_restriction("mirror")
    if not place.line or (not fetches and ebuild.is_live):
        return
    reason = "all files are on public mirrors" if fetches else "the ebuild fetches no file"
    yield rules.RESTRICT_NEEDLESS.at(place, "RESTRICT", reason=reason)


def _first_of_each_host(sources: list[Source]) -> list[Source]:
    """Keep one file of each site: the setting is one, however many files it concerns."""
    hosts: dict[str, Source] = {}
    for source in sources:
        hosts.setdefault(_host_of(source), source)
    return list(hosts.values())


def _host_of(source: Source) -> str:
    if source.scheme == "":
        return "nowhere (a bare name)"
    if source.scheme == "mirror":
        return source.uri.split("/")[2]
    return urlsplit(source.uri).hostname or source.scheme
