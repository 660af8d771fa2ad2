# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the folders with the programs of Kubernetes, and build them if need be."""

from __future__ import annotations

import sys

from extensions.lab import host
from tests.kube.parts import KUBERNETES, TYPES, programs

try:
    print(programs(KUBERNETES), programs(TYPES), sep="\n")
except host.LabError as error:
    sys.exit(str(error))
