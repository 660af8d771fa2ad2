# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which scheduler kube-proxy takes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_scheduler
short_description: Name the IPVS scheduler that a configuration of kube-proxy leads to
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the text of a C(KubeProxyConfiguration), or the configuration values of the EKS add-on, and returns the IPVS scheduler of kube-proxy's
    virtual services.
  - Without C(ipvs.scheduler), kube-proxy takes V(rr).
positional: _input
options:
  _input:
    description: YAML or JSON.
    type: string
    required: true
"""

EXAMPLES = r"""
- name: Load the scheduler's kernel module
  lvs.ipvs.ipvs_modules:
    schedulers: ["{{ configmap.data['config.conf'] | lvs.ipvs.kube_proxy_scheduler }}"]
"""

RETURN = r"""
_value:
  description: The name of the scheduler.
  type: string
  sample: rr
"""

from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_text import ipvs_sections

DEFAULT = "rr"


def kube_proxy_scheduler(text):
    """The scheduler's name. Raises AnsibleFilterError."""
    named = [section["scheduler"] for section in ipvs_sections("kube_proxy_scheduler", text) if section.get("scheduler")]
    return str(named[0]) if named else DEFAULT


class FilterModule:
    """The scheduler of a configuration."""

    def filters(self):
        return {"kube_proxy_scheduler": kube_proxy_scheduler}
