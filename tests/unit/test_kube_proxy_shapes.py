# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter kube_proxy_config on the shapes of public tools: what was asked for, nothing else, and nothing the second time."""

from __future__ import annotations

import copy

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import kube_proxy_config
from tests.unit.kube_proxy_shapes import OTHERS, PARTS, SHAPES

WANTED = {"mode": "ipvs", "scheduler": "lc", "strict_arp": True, "exclude_cidrs": ["203.0.113.0/24"], "tcp_timeout": "1h"}
MEANT = {"scheduler": "lc", "strictARP": True, "excludeCIDRs": ["203.0.113.0/24"], "tcpTimeout": "1h"}


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_a_tools_shape(text):
    edited = kube_proxy_config(text, **WANTED)
    # libyaml shares no code with the reader that the filter uses.
    before, after = (list(yaml.load_all(each, Loader=yaml.CSafeLoader)) for each in (text, edited))
    expected = copy.deepcopy(before)
    for document in expected:
        if document["kind"] == "KubeProxyConfiguration":
            document.update(mode="ipvs", ipvs={**(document.get("ipvs") or {}), **MEANT})
    assert after == expected
    assert kube_proxy_config(edited, **WANTED) == edited
    gone = [line for line in text.splitlines() if line not in edited.splitlines()]
    networks = [each for document in before for each in (document.get("ipvs") or {}).get("excludeCIDRs") or []]
    assert all(any(name in line for name in ("mode", "ipvs", "scheduler", "strictARP", "excludeCIDRs", "tcpTimeout", "}", *networks)) for line in gone), gone


@pytest.mark.parametrize("text", PARTS.values(), ids=PARTS)
def test_a_tools_part_of_a_configuration(text):
    edited = kube_proxy_config(text, partial=True, mode="ipvs", scheduler="lc")
    before, after = (yaml.load(each, Loader=yaml.CSafeLoader) for each in (text, edited))
    assert after == {**before, "mode": "ipvs", "ipvs": {**before.get("ipvs", {}), "scheduler": "lc"}}
    assert edited.lstrip().startswith("{") == text.lstrip().startswith("{"), "JSON stays JSON"
    assert kube_proxy_config(edited, partial=True, mode="ipvs", scheduler="lc") == edited


@pytest.mark.parametrize("partial", [False, True])
@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_a_tool_keeps_elsewhere_is_refused_by_name(text, partial):
    kind = yaml.safe_load(text)["kind"]
    with pytest.raises(AnsibleFilterError, match=f"expected one KubeProxyConfiguration in the text, found {kind}"):
        kube_proxy_config(text, partial=partial, **WANTED)
