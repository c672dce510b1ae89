"""The settings of a bucket that keep what is in it: versions, soft deletion, who is everybody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.api_core import exceptions as answers

from crosprov.mirror.google_client import worded
from crosprov.mirror.measures import Measure
from crosprov.mirror.model import Fault

LIMITS = (10.0, 60.0)  # seconds: to connect, and of silence
SOFT_DELETE_DAYS = 7  # what Google gives new buckets, and the least it takes
_DAY = 86_400
_ENFORCED = "enforced"


class Settings:
    """Look at a bucket's settings, and change what is weak."""

    def __init__(self, bucket: Any, place: str, *, public: bool, anonymous: bool = False) -> None:
        self._bucket = bucket
        self._place = place
        self._public = public
        self._anonymous = anonymous

    def measures(self) -> Iterator[Measure]:
        """Say how the settings stand; one `unseen` when these credentials may not see them."""
        if not self._reload():
            yield Measure(
                "settings",
                "unseen",
                "these credentials may not see the bucket's settings (storage.buckets.get)",
                "ask for the role Storage Bucket Viewer, or let an administrator look",
            )
            return
        yield self._versioning()
        yield self._soft_delete()
        yield self._retention()
        yield from self._lifecycle()
        if not self._public:
            yield self._prevention()

    def strengthen(self) -> Iterator[Measure]:
        """Set what is weak, each thing by itself; yields what Google refused."""
        if not self._reload():
            return
        wanted = {
            "object versioning": (self._versioning, self._set_versioning),
            "soft deletion": (self._soft_delete, self._set_soft_delete),
        }
        if not self._public:
            wanted["public access"] = (self._prevention, self._set_prevention)
        for subject, (look, change) in wanted.items():
            if look().state != "weak":
                continue
            try:
                with worded("change the settings of", self._place, anonymous=self._anonymous):
                    change()
                    self._bucket.patch(
                        timeout=LIMITS, if_metageneration_match=self._bucket.metageneration
                    )
            except Fault as fault:
                yield Measure(subject, "weak", fault.sentence, fault.hint)
                self._reload()

    def _reload(self) -> bool:
        with worded("look up", self._place, anonymous=self._anonymous):
            try:
                self._bucket.reload(timeout=LIMITS)
            except answers.Forbidden:
                return False
        return True

    def _versioning(self) -> Measure:
        if self._bucket.versioning_enabled:
            sentence = "a file that is replaced or deleted is kept as an older version"
            return Measure("object versioning", "good", sentence)
        hint = "crosprov mirror protect --set turns it on"
        if self._bucket.retention_period:
            hint = "it cannot be used together with a retention policy: choose one"
        sentence = "it is off: a file that is replaced or deleted is lost"
        settable = not self._bucket.retention_period
        return Measure("object versioning", "weak", sentence, hint, settable=settable)

    def _set_versioning(self) -> None:
        self._bucket.versioning_enabled = True

    def _soft_delete(self) -> Measure:
        seconds = int(self._bucket.soft_delete_policy.retention_duration_seconds or 0)
        if seconds:
            sentence = f"what is deleted can be restored for {_days(seconds)}"
            return Measure("soft deletion", "good", sentence)
        hint = f"crosprov mirror protect --set keeps it for {SOFT_DELETE_DAYS} days"
        sentence = "it is off: what is deleted for good is gone at once"
        return Measure("soft deletion", "weak", sentence, hint, settable=True)

    def _set_soft_delete(self) -> None:
        self._bucket.soft_delete_policy.retention_duration_seconds = SOFT_DELETE_DAYS * _DAY

    def _retention(self) -> Measure:
        seconds = int(self._bucket.retention_period or 0)
        if not seconds:
            sentence = "there is none: roles alone decide whether a file can be replaced"
            return Measure("retention policy", "told", sentence)
        locked = "locked" if self._bucket.retention_policy_locked else "not locked"
        sentence = f"no file can be replaced or deleted for {_days(seconds)} ({locked})"
        return Measure("retention policy", "good", sentence)

    def _lifecycle(self) -> Iterator[Measure]:
        for rule in self._bucket.lifecycle_rules:
            condition = rule.get("condition", {})
            if rule.get("action", {}).get("type") != "Delete" or condition.get("isLive") is False:
                continue
            if "numNewerVersions" in condition or "daysSinceNoncurrentTime" in condition:
                continue
            shown = ", ".join(f"{key} {value}" for key, value in sorted(condition.items()))
            yield Measure(
                "lifecycle",
                "weak",
                f"a rule of the bucket deletes files by itself ({shown or 'all of them'})",
                "remove the rule, or limit it to older versions with isLive: false",
            )

    def _prevention(self) -> Measure:
        if self._bucket.iam_configuration.public_access_prevention == _ENFORCED:
            sentence = "nothing in the bucket can be made public"
            return Measure("public access", "good", sentence)
        return Measure(
            "public access",
            "weak",
            "nothing prevents that a file of this private mirror is made public",
            "crosprov mirror protect --set prevents it",
            settable=True,
        )

    def _set_prevention(self) -> None:
        self._bucket.iam_configuration.public_access_prevention = _ENFORCED


def _days(seconds: int) -> str:
    return f"{seconds / _DAY:g} day{'' if seconds == _DAY else 's'}"
