# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that the unit tests share."""

from hypothesis import HealthCheck, settings

# A busy machine is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
