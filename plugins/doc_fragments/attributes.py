# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What every module of the collection supports, and what the modules that touch the table need."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Can run in check mode and report what would change, without changing anything and without loading a kernel module.
  diff_mode:
    support: full
    description: With C(--diff), shows before and after.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
  platform:
    support: full
    platforms: linux
    description: Works on Linux.
  action_group:
    support: full
    membership:
      - lvs.ipvs.ipvs
    description: Use C(group/lvs.ipvs.ipvs) in C(module_defaults) to set defaults for all modules of the collection.
"""

    # for modules that only read
    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Changes nothing in any mode.
  diff_mode:
    support: N/A
    description: Changes nothing, so there is nothing to compare.
  idempotent:
    support: full
    description: Changes nothing.
  platform:
    support: full
    platforms: linux
    description: Works on Linux.
  action_group:
    support: full
    membership:
      - lvs.ipvs.ipvs
    description: Use C(group/lvs.ipvs.ipvs) in C(module_defaults) to set defaults for all modules of the collection.
"""

    # for modules that talk to the kernel's table
    TABLE = r"""
options:
  netns:
    description:
      - The network namespace to work in, as a name under C(/run/netns) or as a path.
      - If omitted, the namespace that the module runs in.
    type: str
requirements:
  - pyroute2 >= 0.6 (Debian, Ubuntu and Fedora package C(python3-pyroute2))
  - CAP_NET_ADMIN in the initial user namespace, usually by C(become)
  - a kernel with IPVS
"""

    # for modules that would change what keepalived keeps
    KEEPALIVED = r"""
options: {}
notes:
  - If keepalived runs in the network namespace, the services of its configuration are its own. A task that would change one of them or
    its servers fails before anything is touched, because keepalived would undo the change. Drain their real servers with
    M(lvs.ipvs.ipvs_drain) and change the services with M(lvs.ipvs.ipvs_keepalived). What keepalived does itself is no difference, namely
    that a server is at weight 0 and that the sorry server is in the table. C(upper_threshold) and C(lower_threshold) are
    set, since keepalived does not change them on servers that are there.
  - Services that keepalived's configuration names only through groups or definitions of its own are not recognized as its own.
"""
