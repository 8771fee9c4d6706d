"""Settings of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The tests run on shared machines: how long an example takes has no meaning.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
