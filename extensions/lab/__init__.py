# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: a real IPVS kernel (``run``) and whole machines (``up``) on any Debian box. See README.md."""
from .host import LabError
from .machines import Lab

__all__ = ["Lab", "LabError"]
