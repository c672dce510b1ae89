"""Operations on objects: get, list, patch, update, delete, copy, rewrite, compose."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from . import acls, downloads, preconditions, resources, writes
from .access import refuse_public
from .call import Call, Reply
from .checksums import Sums
from .failures import ApiError
from .model import Bucket, Content, Fields, Version

_LONGEST_PAGE = 1000
_MOST_COMPONENTS = 32
_BLOCK = 1024 * 1024


def get(call: Call) -> Reply:
    """Return an object's resource, or its bytes with alt=media."""
    if call.word("alt") == "media":
        return downloads.media(call)
    with call.store.lock:
        version = downloads.readable(call)
        preconditions.check(call, version, read=True)
        preconditions.check_etag(call, version.etag, read=True)
        if call.full:
            call.demand("storage.objects.getIamPolicy", call.bucket(), version)
        return _reply(call, version)


def _reply(call: Call, version: Version) -> Reply:
    bucket = call.store.bucket(version.bucket)
    return Reply.of_json(resources.object_resource(version, bucket, call.base_url, full=call.full))


def listing(call: Call) -> Reply:
    """Return a page of a bucket's objects, and the prefixes that a delimiter makes."""
    limit = call.number("maxResults")
    if limit is not None and limit < 0:
        raise ApiError(400, f"Invalid value '{limit}' of maxResults.")
    with call.store.lock:
        bucket = call.bucket()
        call.demand("storage.objects.list", bucket)
        page, prefixes, following = _page(call, bucket, min(limit or _LONGEST_PAGE, _LONGEST_PAGE))
        items = [
            resources.object_resource(version, bucket, call.base_url, full=call.full)
            for version in page
        ]
    found: dict[str, Any] = {"kind": "storage#objects"}
    if items:
        found["items"] = items
    if prefixes:
        found["prefixes"] = prefixes
    if following is not None:
        found["nextPageToken"] = base64.urlsafe_b64encode(following.encode()).decode()
    return Reply.of_json(found)


def _page(call: Call, bucket: Bucket, limit: int) -> tuple[list[Version], list[str], str | None]:
    """Return versions, prefixes, and the token of the next page: `last name NUL generation`."""
    prefix, delimiter = call.word("prefix") or "", call.word("delimiter") or ""
    after, generation = _position(call)
    start = max(prefix, after, call.word("startOffset") or "")
    end = call.word("endOffset")
    page: list[Version] = []
    prefixes: list[str] = []
    token = ""
    for version in bucket.sorted_versions(start, noncurrent=call.flag("versions")):
        name = version.name
        if not name.startswith(prefix) or (end and name >= end):
            break
        group = _group(name, prefix, delimiter)
        if after and (name, version.generation) <= (after, generation):
            continue
        if group and (after.startswith(group) or group in prefixes[-1:]):
            continue
        if len(page) + len(prefixes) == limit:
            return page, prefixes, token
        if group:
            prefixes.append(group)
        if not group or (call.flag("includeTrailingDelimiter") and name == group):
            page.append(version)
        token = f"{name}\0{version.generation}"
    return page, prefixes, None


def _group(name: str, prefix: str, delimiter: str) -> str:
    """Return the prefix that stands for a name in the listing, or "" for the name itself."""
    at = name.find(delimiter, len(prefix)) if delimiter else -1
    return name[: at + len(delimiter)] if at >= 0 else ""


def _position(call: Call) -> tuple[str, int]:
    token = call.word("pageToken")
    if not token:
        return "", 0
    try:
        name, _, generation = base64.urlsafe_b64decode(token).decode().partition("\0")
        return name, int(generation)
    except ValueError:
        raise ApiError(400, f"Invalid page token: '{token[:80]}'") from None


def patch(call: Call) -> Reply:
    """Change the fields that a client names."""
    return _change(call, replace=False)


def update(call: Call) -> Reply:
    """Replace all fields that a client may write."""
    return _change(call, replace=True)


def _change(call: Call, *, replace: bool) -> Reply:
    written = call.json()
    with call.store.lock:
        bucket = call.bucket()
        version = bucket.find(call.names["object"], call.number("generation"))
        call.demand("storage.objects.update", bucket, version)
        version = bucket.version(call.names["object"], call.number("generation"))
        preconditions.check(call, version)
        acl = _new_acl(call, bucket, version, written)
        fields = resources.merged(
            {} if replace else version.fields, resources.object_fields(written)
        )
        version.fields = fields
        version.acl = acl
        version.changed()
        return _reply(call, version)


def _new_acl(call: Call, bucket: Bucket, version: Version, written: Fields) -> dict[str, str]:
    """Return the ACL that a change leaves; an empty list of the client's is an empty ACL."""
    predefined = call.word("predefinedAcl")
    if predefined is None and written.get("acl") is None:
        return version.acl
    acls.refuse_uniform(bucket)
    call.demand("storage.objects.setIamPolicy", bucket, version)
    if predefined is not None:
        owner = {f"user-{version.owner}": "OWNER"} if version.owner else {}
        acl = acls.predefined_default(predefined) | owner
    else:
        acl = acls.read(written["acl"], ("OWNER", "READER"))
    refuse_public(bucket, acl)
    return acl


def delete(call: Call) -> Reply:
    """Delete an object, or one generation of it for good."""
    writes.delete(call)
    return Reply(204)


def copy(call: Call) -> Reply:
    """Copy an object and answer with the new one."""
    return _reply(call, _copied(call))


def rewrite(call: Call) -> Reply:
    """Copy an object as rewriteTo does; within one server it is done at once."""
    version = _copied(call)
    size = str(version.content.size)
    bucket = call.store.bucket(version.bucket)
    resource = resources.object_resource(version, bucket, call.base_url, full=call.full)
    return Reply.of_json(
        {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": size,
            "objectSize": size,
            "done": True,
            "resource": resource,
        }
    )


def _copied(call: Call) -> Version:
    written = call.json()
    with call.store.lock:
        source_bucket = call.bucket()
        source = source_bucket.find(call.names["object"], call.number("sourceGeneration"))
        call.demand("storage.objects.get", source_bucket, source)
        source = source_bucket.version(call.names["object"], call.number("sourceGeneration"))
        preconditions.check(call, source, prefix="ifSource")
        # Metadata that is sent takes the place of the source's; without any, that is copied.
        fields = resources.object_fields(written) or dict(source.fields)
        fields |= {"acl": written["acl"]} if written.get("acl") else {}
        content = call.store.duplicate(source.content)
        name = writes.checked_name(call.names["new_object"])
        return _put(call, call.names["new_bucket"], name, content, fields)


def _put(call: Call, bucket: str, name: str, content: Content, fields: Fields) -> Version:
    try:
        return writes.put(call, bucket, name, content, fields)
    except ApiError:
        content.path.unlink(missing_ok=True)
        raise


def compose(call: Call) -> Reply:
    """Make an object of up to 32 others of the bucket, one after the other."""
    written = call.json()
    named = written.get("sourceObjects")
    if not isinstance(named, list) or not 1 <= len(named) <= _MOST_COMPONENTS:
        raise ApiError(400, f"Name from 1 to {_MOST_COMPONENTS} sourceObjects.")
    destination = written.get("destination") or {}
    path = call.scratch()
    with call.store.lock:
        bucket = call.bucket()
        sources = [_component(call, bucket, one) for one in named]
        sums = _joined(path, [source.content.path for source in sources])
        count = sum(source.content.components or 1 for source in sources)
        content = Content(path, sums.size, sums.crc32c, None, True, count)
        fields = {"contentType": sources[0].fields.get("contentType"), **destination}
        name = writes.checked_name(call.names["object"])
        return _reply(call, _put(call, bucket.name, name, content, fields))


def _component(call: Call, bucket: Bucket, named: object) -> Version:
    if not isinstance(named, dict) or not named.get("name"):
        raise ApiError(400, "A source object has a name.")
    generation = named.get("generation")
    version = bucket.version(str(named["name"]), int(generation) if generation else None)
    call.demand("storage.objects.get", bucket, version)
    wanted = (named.get("objectPreconditions") or {}).get("ifGenerationMatch")
    if wanted is not None and int(wanted) != version.generation:
        raise ApiError(412, f"The generation of {version.name} is not {wanted}.")
    return version


def _joined(path: Path, sources: list[Path]) -> Sums:
    sums = Sums()
    with path.open("wb") as file:
        for source in sources:
            with source.open("rb") as part:
                while block := part.read(_BLOCK):
                    sums.update(block)
                    file.write(block)
    return sums
