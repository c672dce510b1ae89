"""A Google Storage server for tests: the standard library only, Python 3.11 and later.

It speaks the JSON API to the real google-cloud-storage client, and serves /BUCKET/OBJECT for
plain downloads. Preconditions, generations, permissions and ACLs decide as the service's
documentation says. Metadata is in memory, contents are files that are streamed.

Run it by hand: `python3 -m bucket --port 8000 --seed DIR`, where `bucket` is this folder; each
folder in DIR is a public bucket.

What it does not imitate: TLS; signed URLs; requests in batches; gRPC; the XML API but for
downloads (no listing, upload or multipart upload); keys of customers and of KMS; soft deletion,
lifecycle rules, notifications, folders, managed folders and HMAC keys; retention and IAM policies
of single objects; conditions in bindings and custom roles; quotas and throttling but for one write
per object and interval; eventual consistency. Of these, what would change an answer is refused
with a sentence. `fields` is not looked at: all of them are given. There is one project; its owners
may do everything, and a bucket's ACL is a view of its policy. A rewrite is done at once. Whether a
chunk that begins behind what is there gets 400, as here, was not checked with the service.
Nothing fails by chance: a fault is ordered.
"""

from __future__ import annotations

from .access import Identity
from .failures import ApiError
from .faults import Armed, Rule
from .listener import Request
from .server import BucketServer, bucket_server, seed

__all__ = [
    "ApiError",
    "Armed",
    "BucketServer",
    "Identity",
    "Request",
    "Rule",
    "bucket_server",
    "seed",
]
