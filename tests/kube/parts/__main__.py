# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the folder with the programs of Kubernetes, and build them if need be."""

from __future__ import annotations

import sys

from extensions.lab import host
from tests.kube.parts import programs

try:
    print(programs())
except host.LabError as error:
    sys.exit(str(error))
