# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the folders with the programs of Kubernetes and Packer, and build them if need be."""

from __future__ import annotations

import sys

from extensions.lab import host
from tests.kube.parts import KUBERNETES, PACKER, TYPES, programs

try:
    print(*map(programs, (KUBERNETES, TYPES, PACKER)), sep="\n")
except host.LabError as error:
    sys.exit(str(error))
