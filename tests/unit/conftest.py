# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that the unit tests share."""

from hypothesis import settings

# A busy machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
