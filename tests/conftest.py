"""Settings of all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machines that run this are shared: how long an example takes says nothing.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")
