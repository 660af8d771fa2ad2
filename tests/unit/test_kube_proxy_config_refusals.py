# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter lvs.ipvs.kube_proxy_config refuses what it cannot edit, and what kube-proxy would refuse."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import FilterModule, _same
from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_settings import equal_cidrs
from tests.unit.kube_proxy_texts import EKS, HEAD, KUBEADM

edit = FilterModule().filters()["kube_proxy_config"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one KubeProxyConfiguration in the text, found nothing"),
        ("# nothing\n", "found nothing"),
        ("kind: ConfigMap\n", "found ConfigMap"),
        ("- a\n", "found a document without a kind"),
        ("just text", "found a document without a kind"),
        (KUBEADM + "---\n" + KUBEADM, "found 2"),
        (KUBEADM + "---\n" + KUBEADM + "---\nmode: ipvs\n", "expected one KubeProxyConfiguration in the text, found 2\n"),
        (HEAD + "mode: ipvs\n\tx: y\n", "not valid YAML: line 4, column 1: while scanning for the next token: found character"),
        (HEAD + "x:\n-\ty\n", "not valid YAML: line 4"),
        (HEAD + "mode: 'ipvs\n", "not valid YAML: line 4, column 1: while scanning a quoted scalar: found unexpected end of stream"),
        (HEAD + "a: &x 1\nb: &x 2\n", "not valid YAML: line 4, column 4: found duplicate anchor 'x'; first occurrence: second occurrence"),
        (HEAD + "mode: a\x07b\n", "not valid YAML"),
        (HEAD + "ipvs: rr\n", "ipvs is 'rr', it has to be a mapping"),
        (HEAD + "ipvs: [a]\n", "ipvs is ['a'], it has to be a mapping"),
        (HEAD + "mode: ipvs\nmode: iptables\n", "line 4: the key mode is there twice"),
        (HEAD + "ipvs:\n  scheduler: rr\n  scheduler: lc\n", "line 5: the key ipvs.scheduler is there twice"),
        (HEAD + "a: !unknown 1\n", "not valid YAML: line 3"),
        (HEAD + "ipvs:\n  excludeCIDRs: [203.0.113.0/24, # why\n    198.51.100.0/24]\n", "line 4: excludeCIDRs holds a comment"),
        (HEAD + "note: &m {scheduler: lc}\nipvs: *m\n", "cannot be edited in place"),
        (HEAD + "note: &m iptables\nmode: *m\n", "cannot be edited in place"),
        (HEAD + "base: &b\n  ipvs: {tcpTimeout: 1h}\n<<: *b\n", "cannot be edited in place"),
        (HEAD + "note: &m [*m]\nipvs: {syncPeriod: *m}\n", "cannot be edited in place"),
        (HEAD + "note: !!bool maybe\n", "not valid YAML"),
        (HEAD + "note: !!int ''\n", "not valid YAML"),
        (HEAD + 'note:\t"\\UFFFFFFFF"\n', "not valid YAML"),
        (HEAD + "note: !!timestamp soon\n", "not valid YAML"),
        (HEAD + "note: " + "[" * 1000 + "]" * 1000 + "\n", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
    ],
)
def test_a_text_that_cannot_be_edited_is_refused(text, message):
    with pytest.raises(AnsibleFilterError) as error:
        edit(text, mode="nftables", scheduler="rr", exclude_cidrs=["2001:db8::/32"])
    assert message in str(error.value) + "\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "IPVS"}, "mode: 'IPVS' is not valid: give one of ipvs, nftables, iptables"),
        ({"scheduler": "round robin"}, "scheduler: 'round robin' is not valid"),
        ({"scheduler": ""}, "scheduler: '' is not valid"),
        ({"scheduler": 5}, "scheduler: 5 is not valid"),
        ({"strict_arp": "yes"}, "strict_arp: 'yes' is not valid: give true or false"),
        ({"strict_arp": 1}, "strict_arp: 1 is not valid"),
        ({"exclude_cidrs": "203.0.113.0/24"}, "exclude_cidrs: '203.0.113.0/24' is not valid: give a list"),
        ({"exclude_cidrs": ["203.0.113.1"]}, "exclude_cidrs: '203.0.113.1' is not valid: give a network"),
        ({"exclude_cidrs": ["203.0.113.0/33"]}, "exclude_cidrs: '203.0.113.0/33' is not valid"),
        ({"exclude_cidrs": ["2001:db8::/32", "2001:DB8:0::/32"]}, "'2001:DB8:0::/32' is not valid: it is in the list twice"),
        ({"exclude_cidrs": ["198.51.100.0/255.255.255.0"]}, "exclude_cidrs: '198.51.100.0/255.255.255.0' is not valid: give a network with its prefix length"),
        ({"exclude_cidrs": ["198.51.100.0/0.0.0.255"]}, "exclude_cidrs: '198.51.100.0/0.0.0.255' is not valid"),
        ({"exclude_cidrs": ["198.51.100.0/024"]}, "exclude_cidrs: '198.51.100.0/024' is not valid"),
        ({"exclude_cidrs": ["2001:db8::%eth0/64"]}, "exclude_cidrs: '2001:db8::%eth0/64' is not valid"),
        ({"exclude_cidrs": ["198.51.100.0/\u0662\u0664"]}, "is not valid: give a network"),
        ({"tcp_timeout": "9999999999h"}, "tcp_timeout: '9999999999h' is not valid: the longest duration is 2562047h47m16.854775807s"),
        ({"tcp_timeout": "2562047h47m16.854775808s"}, "is not valid: the longest duration"),
        ({"tcp_timeout": "\u0661\u0665m"}, "is not valid: give a duration"),
        ({"tcp_timeout": "9\u0665m"}, "is not valid: give a duration"),
        ({"tcp_timeout": "1h "}, "is not valid: give a duration"),
        ({"tcp_timeout": "1h\n"}, "is not valid: give a duration"),
        ({"tcp_timeout": ".s"}, "is not valid: give a duration"),
        ({"partial": "yes"}, "partial: 'yes' is not valid: give true or false"),
        ({"tcp_timeout": 900}, "tcp_timeout: 900 is not valid: give a duration with its unit"),
        ({"udp_timeout": "900"}, "udp_timeout: '900' is not valid"),
        ({"udp_timeout": "0"}, "udp_timeout: '0' is not valid: give a duration with its unit"),
        ({"tcp_fin_timeout": "-2m"}, "tcp_fin_timeout: '-2m' is not valid"),
        ({"sync_period": "1 min"}, "sync_period: '1 min' is not valid"),
        ({"min_sync_period": "1d"}, "min_sync_period: '1d' is not valid"),
        ({"min_sync_period": "31s"}, "minSyncPeriod would be 31s, above syncPeriod 30s"),
        ({"sync_period": "1s", "min_sync_period": "2s"}, "minSyncPeriod would be 2s, above syncPeriod 1s"),
        ({"strictARP": True}, "unknown setting strictARP: give mode, scheduler, strict_arp"),
    ],
)
def test_a_setting_that_kube_proxy_would_refuse_is_refused(settings, message):
    with pytest.raises(AnsibleFilterError) as error:
        edit(EKS, **settings)
    assert message in str(error.value)


@pytest.mark.parametrize("duration", ["2562047h47m16.854775807s", "1.5h", ".5s", "5.s", "1h0m0.25s", "100\u00b5s", "100\u03bcs", "007s"])
def test_a_duration_that_kube_proxy_takes(duration):
    assert yaml.safe_load(edit(HEAD, tcp_timeout=duration))["ipvs"] == {"tcpTimeout": duration}


def test_a_value_that_kube_proxy_refuses_is_not_taken_for_an_equal_one():
    text = HEAD + "ipvs:\n  excludeCIDRs: [198.51.100.0/255.255.255.0]\n  tcpTimeout: \u0661h\n"
    after = edit(text, exclude_cidrs=["198.51.100.0/24"], tcp_timeout="1h")
    assert yaml.safe_load(after)["ipvs"] == {"excludeCIDRs": ["198.51.100.0/24"], "tcpTimeout": "1h"}
    number = HEAD + "ipvs: {excludeCIDRs: [1], strictARP: 1}\n"
    assert yaml.safe_load(edit(number, exclude_cidrs=["0.0.0.1/32"], strict_arp=True))["ipvs"] == {"excludeCIDRs": ["0.0.0.1/32"], "strictARP": True}


@pytest.mark.parametrize(
    "text",
    [
        "bindAddress: 0.0.0.0\nmode: x\n",
        "kube-proxy-arg:\n  - proxy-mode=ipvs\n",  # /etc/rancher/k3s/config.yaml
        "cluster:\n  proxy: {mode: ipvs}\nmachine: {}\n",  # Talos
        "services:\n  kubeproxy: {extra_args: {proxy-mode: ipvs}}\n",  # RKE
        "{}",
    ],
)
def test_a_text_without_a_kind_is_refused_unless_it_is_said_to_be_a_part(text):
    with pytest.raises(AnsibleFilterError) as error:
        edit(text, mode="ipvs")
    assert "found a document without a kind" in str(error.value)
    assert "partial=true" in str(error.value)
    assert "kube-proxy-arg" in str(error.value)
    assert yaml.safe_load(edit(text, partial=True, mode="ipvs")) == {**yaml.safe_load(text), "mode": "ipvs"}


@pytest.mark.parametrize("other", ["kind: ConfigMap\n", "bindAddress: 0.0.0.0\n", "- a\n"])
def test_a_part_is_the_only_document(other):
    """Which of several would be the part is a guess."""
    for text in ("mode: iptables\n---\n" + other, other + "---\nmode: iptables\n"):
        with pytest.raises(AnsibleFilterError, match="expected one KubeProxyConfiguration in the text, found .*a document without a kind"):
            edit(text, partial=True, mode="ipvs")


@pytest.mark.parametrize("text", [EKS, KUBEADM, KUBEADM + "---\nbindAddress: 0.0.0.0\n"])
def test_a_whole_configuration_may_be_said_to_be_a_part(text):
    assert edit(text, partial=True, mode="ipvs") == edit(text, mode="ipvs") != text


@pytest.mark.parametrize("section", ["ipvs:", "ipvs: null", "ipvs: {}"])
def test_keys_that_are_twice_elsewhere_are_left_to_kube_proxy(section):
    text = HEAD + "conntrack:\n  min: 1\n  min: 1\n" + section + "\n"
    assert edit(text, mode="ipvs") == text + "mode: ipvs\n"


def test_the_shortest_time_is_checked_against_the_text_that_holds_the_longest():
    own = HEAD + "ipvs:\n  syncPeriod: 5m\n"
    assert edit(own, min_sync_period="1m") == own + "  minSyncPeriod: 1m\n"
    with pytest.raises(AnsibleFilterError, match="minSyncPeriod would be 6m, above syncPeriod 5m"):
        edit(own, min_sync_period="6m")
    # What a part leaves out is not known.
    assert json.loads(edit("{}", partial=True, min_sync_period="1m")) == {"ipvs": {"minSyncPeriod": "1m"}}
    with pytest.raises(AnsibleFilterError, match="minSyncPeriod would be 1m, above syncPeriod 30s"):
        edit("{}", partial=True, min_sync_period="1m", sync_period="30s")
    with pytest.raises(AnsibleFilterError, match="minSyncPeriod would be 1m, above syncPeriod 30s"):
        edit("{}", partial=True, min_sync_period="1m", sync_period="0s")


def test_the_input_has_to_be_text():
    with pytest.raises(AnsibleFilterError, match="expected the text of a KubeProxyConfiguration, got dict"):
        edit({"mode": "ipvs"}, mode="ipvs")


@pytest.mark.parametrize("mark", ["\ufeff", "# note\ufeff", "'\ufeff'"])
def test_a_byte_order_mark_in_the_middle_is_refused(mark):
    with pytest.raises(AnsibleFilterError, match="line 2 has a byte order mark"):
        edit(f"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nmetricsBindAddress: {mark}\nkind: KubeProxyConfiguration\n", mode="ipvs")


@pytest.mark.parametrize(
    ("edited", "same"),
    [(["203.0.113.0/24", "2001:db8::/32"], True), (["2001:db8::/32"], False), ([], False), (None, False), ("203.0.113.0/24", False)],
)
def test_the_text_that_was_edited_is_read_again_and_compared(edited, same):
    expected = {"mode": "ipvs", "ipvs": {"excludeCIDRs": ["2001:db8::/32", "203.0.113.0/24"]}}
    assert _same({"mode": "ipvs", "ipvs": {"excludeCIDRs": edited}}, expected) is same
    assert _same(expected, {"mode": "ipvs", "ipvs": {"excludeCIDRs": edited}}) is same
    assert equal_cidrs(edited, expected["ipvs"]["excludeCIDRs"]) is same
    assert not _same({"nodePortAddresses": ["203.0.113.0/24"]}, {"nodePortAddresses": edited})


@pytest.mark.parametrize(("text", "line"), [("#\ufeff\n", 1), ("\n#\ufeff\n", 2)])
def test_a_byte_order_mark_near_the_beginning_is_refused(text, line):
    with pytest.raises(AnsibleFilterError, match=f"line {line} has a byte order mark"):
        edit(text + "kind: KubeProxyConfiguration\n", mode="ipvs")
