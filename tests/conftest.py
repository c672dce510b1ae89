"""What all tests share: how property tests choose their examples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# A machine under load is slow, and that is no failure. A verdict of CI does not depend on luck;
# on a developer's machine every run looks at other examples.
settings.register_profile(
    "crosprov",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("crosprov")
