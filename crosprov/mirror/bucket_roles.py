"""Who may do what in a bucket, and roles that let publishers create and view, and no more.

Permissions of roles: Google's documentation, "IAM roles for Cloud Storage".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from google.api_core import exceptions as answers

from crosprov.mirror.bucket_settings import LIMITS
from crosprov.mirror.google_client import worded
from crosprov.mirror.measures import Measure

CREATOR = "roles/storage.objectCreator"
VIEWER = "roles/storage.objectViewer"
_POLICY_VERSION = 3  # the one that shows bindings with conditions

# Who has one of these may replace and delete files; the bucket itself is another matter.
_WRITERS = frozenset(
    {
        "roles/storage.objectAdmin",
        "roles/storage.objectUser",
        "roles/storage.legacyBucketWriter",
    }
)
# Who has one of these may do that, and also give the right to others.
_ADMINISTRATORS = frozenset(
    {
        "roles/owner",
        "roles/editor",
        "roles/storage.admin",
        "roles/storage.legacyBucketOwner",
    }
)
_READERS = frozenset(
    {
        VIEWER,
        "roles/storage.bucketViewer",
        "roles/storage.legacyBucketReader",
        "roles/storage.legacyObjectReader",
    }
)
_EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
_ASKED = ("storage.objects.create", "storage.objects.delete", "storage.objects.update")


class Roles:
    """Look at a bucket's policy, and take from it what lets files be replaced.

    `administrators` are the members of whom it is known and wanted that they can.
    """

    def __init__(
        self,
        bucket: Any,
        place: str,
        *,
        public: bool,
        administrators: Collection[str] = (),
        anonymous: bool = False,
    ) -> None:
        self._bucket = bucket
        self._place = place
        self._public = public
        self._anonymous = anonymous
        self._administrators = frozenset(administrators)

    def measures(self) -> Iterator[Measure]:
        """Say who may replace or delete files, and what of that cannot be seen."""
        policy = self._policy()
        if policy is None:
            yield Measure(
                "roles",
                "unseen",
                "these credentials may not see who has which role (storage.buckets.getIamPolicy)",
                "let an administrator of the bucket look",
            )
        else:
            found = [one for binding in policy.bindings for one in self._judge(binding)]
            yield from found
            if not any(one.state == "weak" for one in found):
                sentence = "the bucket's roles let nobody else replace or delete files"
                yield Measure("roles", "good", sentence)
        yield self._own_rights()
        yield Measure(
            "inherited roles",
            "unseen",
            "roles given in the project, its folders or the organization, and the members of "
            "groups, are not in the bucket's own policy",
            "look for them with Google's Policy Analyzer",
        )

    def strengthen(self) -> None:
        """Give whoever may replace files the roles to create and to view instead.

        Roles of administrators, custom roles and bindings with a condition stay. Raises Fault,
        also when somebody else changed the policy meanwhile.
        """
        policy = self._policy()
        if policy is None:
            return
        wanted: dict[str, set[str]] = {}
        changed = False
        for binding in policy.bindings:
            if binding.get("condition"):
                continue
            for member in sorted(binding["members"]):
                instead = self._instead(binding["role"], member)
                if instead is not None:
                    changed = True
                    binding["members"] = set(binding["members"]) - {member}
                    for role in instead:
                        wanted.setdefault(role, set()).add(member)
        if not changed:
            return
        kept = [binding for binding in policy.bindings if binding["members"]]
        kept += [{"role": role, "members": who} for role, who in sorted(wanted.items())]
        policy.bindings = kept
        with worded("change the roles of", self._place, anonymous=self._anonymous):
            self._bucket.set_iam_policy(policy, timeout=LIMITS)

    def _policy(self) -> Any:
        with worded("read the roles of", self._place, anonymous=self._anonymous):
            try:
                return self._bucket.get_iam_policy(
                    requested_policy_version=_POLICY_VERSION, timeout=LIMITS
                )
            except answers.Forbidden:
                return None

    def _judge(self, binding: Any) -> Iterator[Measure]:
        role = binding["role"]
        members = sorted(set(binding["members"]) - self._administrators)
        everybody = [one for one in members if one in _EVERYBODY]
        others = [one for one in members if one not in _EVERYBODY]
        if everybody and not (self._public and role in _READERS):
            yield Measure(
                "roles",
                "weak",
                f"{' and '.join(everybody)} have {role}",
                "crosprov mirror protect --set takes it from them",
                settable=not binding.get("condition"),
            )
        if others and role in _WRITERS:
            hint = "crosprov mirror protect --set lets them create and view instead"
            if binding.get("condition"):
                hint = "the binding has a condition: change it by hand"
            sentence = f"{_few(others)} may replace and delete files ({role})"
            yield Measure("roles", "weak", sentence, hint, settable=not binding.get("condition"))
        elif others and role in _ADMINISTRATORS:
            sentence = f"{_few(others)} may do everything with the bucket ({role})"
            hint = "take the role from them by hand, or name them as its administrators"
            yield Measure("roles", "weak", sentence, hint)
        elif others and not role.startswith("roles/"):
            sentence = f"what the role {role} of {_few(others)} permits is not shown here"
            yield Measure("roles", "unseen", sentence, "look it up where the role is defined")

    def _instead(self, role: str, member: str) -> tuple[str, ...] | None:
        """Choose the roles that a member gets in place of one; None when it keeps it."""
        if member in self._administrators:
            return None
        if member in _EVERYBODY:
            if not self._public:
                return ()
            return None if role in _READERS else (VIEWER,)
        return (CREATOR, VIEWER) if role in _WRITERS else None

    def _own_rights(self) -> Measure:
        with worded("ask for the rights in", self._place, anonymous=self._anonymous):
            held = self._bucket.test_iam_permissions(list(_ASKED), timeout=LIMITS)
        verbs = [one.rpartition(".")[2] for one in _ASKED if one in held]
        may = " and ".join(verbs) or "neither create, delete nor update"
        sentence = f"these credentials may {may} files"
        if "storage.objects.delete" in held:
            return Measure("own rights", "told", sentence, "publish with others that only create")
        return Measure("own rights", "told", sentence)


def _few(members: list[str]) -> str:
    more = f" and {len(members) - 3} more" if len(members) > 3 else ""
    return ", ".join(members[:3]) + more
