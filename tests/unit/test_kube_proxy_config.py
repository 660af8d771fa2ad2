# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter lvs.ipvs.kube_proxy_config on the shapes in which a KubeProxyConfiguration is found."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from decimal import Decimal

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import FilterModule

edit = FilterModule().filters()["kube_proxy_config"]

# As EKS writes it into the ConfigMap kube-proxy-config, key config.
EKS = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
clientConnection:
  acceptContentTypes: ""
  burst: 10
  contentType: application/vnd.kubernetes.protobuf
  kubeconfig: /var/lib/kube-proxy/kubeconfig
  qps: 5
clusterCIDR: ""
configSyncPeriod: 15m0s
conntrack:
  maxPerCore: 32768
  min: 131072
  tcpCloseWaitTimeout: 1h0m0s
  tcpEstablishedTimeout: 24h0m0s
enableProfiling: false
healthzBindAddress: 0.0.0.0:10256
hostnameOverride: ""
iptables:
  masqueradeAll: false
  masqueradeBit: 14
  minSyncPeriod: 0s
  syncPeriod: 30s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: ""
  syncPeriod: 30s
kind: KubeProxyConfiguration
metricsBindAddress: 0.0.0.0:10249
mode: "iptables"
nodePortAddresses: null
oomScoreAdj: -998
portRange: \"\""""

# As kubeadm writes it into the ConfigMap kube-proxy, key config.conf.
KUBEADM = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection:
  acceptContentTypes: ""
  burst: 0
  contentType: ""
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
  qps: 0
clusterCIDR: 198.51.100.0/24
configSyncPeriod: 0s
conntrack:
  maxPerCore: null
  min: null
  tcpBeLiberal: false
  tcpCloseWaitTimeout: null
  tcpEstablishedTimeout: null
  udpStreamTimeout: 0s
  udpTimeout: 0s
detectLocal:
  bridgeInterface: ""
  interfaceNamePrefix: ""
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables:
  localhostNodePorts: null
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: ""
  strictARP: false
  syncPeriod: 0s
  tcpFinTimeout: 0s
  tcpTimeout: 0s
  udpTimeout: 0s
kind: KubeProxyConfiguration
logging:
  flushFrequency: 0
  options:
    json:
      infoBufferSize: "0"
    text:
      infoBufferSize: "0"
  verbosity: 0
metricsBindAddress: ""
mode: ""
nftables:
  masqueradeAll: false
  masqueradeBit: null
  minSyncPeriod: 0s
  syncPeriod: 0s
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel:
  enableDSR: false
  networkName: ""
"""

# k3s runs kube-proxy in its own process; a file given by "kube-proxy-arg: config=FILE" is short and has no ipvs section.
K3S = """\
# read by k3s: kube-proxy-arg "config=/etc/rancher/k3s/kube-proxy.yaml"
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 198.51.100.0/24   # --cluster-cidr
clientConnection: {kubeconfig: /var/lib/rancher/k3s/agent/kubeproxy.kubeconfig}
"""

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"


def lines_changed(before, after):
    old, new = before.split("\n"), after.split("\n")
    return [line for line in old if line not in new], [line for line in new if line not in old]


def test_eks():
    after = edit(EKS, mode="ipvs", scheduler="rr")
    assert lines_changed(EKS, after) == (['  scheduler: ""', 'mode: "iptables"'], ['  scheduler: "rr"', 'mode: "ipvs"'])
    assert len(after.split("\n")) == len(EKS.split("\n"))


def test_eks_gets_the_keys_it_lacks_at_the_end_of_the_section():
    after = edit(EKS, strict_arp=True, tcp_timeout="1h")
    assert "  syncPeriod: 30s\n  strictARP: true\n  tcpTimeout: 1h\nkind: Kube" in after
    assert lines_changed(EKS, after) == ([], ["  strictARP: true", "  tcpTimeout: 1h"])


def test_kubeadm():
    after = edit(
        KUBEADM,
        mode="ipvs",
        scheduler="wlc",
        strict_arp=True,
        exclude_cidrs=["203.0.113.0/24", "2001:db8::/32"],
        sync_period="30s",
        min_sync_period="2s",
        tcp_timeout="15m",
        tcp_fin_timeout="2m",
        udp_timeout="5m",
    )
    expected = yaml.safe_load(KUBEADM)
    expected["mode"] = "ipvs"
    expected["ipvs"] = {
        "excludeCIDRs": ["203.0.113.0/24", "2001:db8::/32"],
        "minSyncPeriod": "2s",
        "scheduler": "wlc",
        "strictARP": True,
        "syncPeriod": "30s",
        "tcpFinTimeout": "2m",
        "tcpTimeout": "15m",
        "udpTimeout": "5m",
    }
    assert yaml.safe_load(after) == expected
    assert list(yaml.safe_load(after)) == list(yaml.safe_load(KUBEADM))
    assert "masqueradeBit: null" in after
    # Durations of other sections with the same key names stay.
    assert after.count("syncPeriod: 0s") == KUBEADM.count("syncPeriod: 0s") - 1


def test_k3s_gets_a_section():
    assert edit(K3S, mode="ipvs", scheduler="rr") == K3S + "mode: ipvs\nipvs:\n  scheduler: rr\n"


@pytest.mark.parametrize("text", [EKS, KUBEADM])
def test_nothing_to_change_is_byte_for_byte_the_same(text):
    settings = {"mode": "ipvs", "scheduler": "sh", "strict_arp": False, "exclude_cidrs": ["203.0.113.0/24"]}
    once = edit(text, **settings)
    assert edit(once, **settings) == once
    assert edit(text) == text
    assert edit(text, mode=None, scheduler=None) == text


def test_equal_by_meaning_is_not_a_change():
    text = HEAD + "ipvs:\n  syncPeriod: 1m0s\n  minSyncPeriod: 1500ms\n  tcpTimeout: '0'\n  excludeCIDRs:\n  - 2001:DB8::/32\n  - 203.0.113.0/24\n"
    assert (
        edit(
            text,
            sync_period="60s",
            min_sync_period="1.5s",
            tcp_timeout="0s",
            exclude_cidrs=["203.0.113.0/24", "2001:db8::/32"],
        )
        == text
    )
    assert edit(KUBEADM, exclude_cidrs=[]) == KUBEADM


def test_an_empty_list_where_there_is_none_is_not_a_change():
    assert edit(K3S, exclude_cidrs=[]) == K3S


@pytest.mark.parametrize("empty", ["ipvs:", "ipvs: null", "ipvs: ~", "ipvs: {}", "ipvs:   null"])
@pytest.mark.parametrize("comment", ["", "  # none yet"])
@pytest.mark.parametrize("tail", ["", "\n", "\n# end", "\nportRange: ''\n"])
def test_empty_section(empty, comment, tail):
    text = HEAD + empty + comment + tail
    after = edit(text, mode="ipvs", scheduler="rr", strict_arp=True)
    assert yaml.safe_load(after) == {
        **yaml.safe_load(text),
        "mode": "ipvs",
        "ipvs": {"scheduler": "rr", "strictARP": True},
    }
    assert "ipvs:" + comment + "\n  scheduler: rr\n  strictARP: true" in after
    assert tail.strip() in after


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"kind": "KubeProxyConfiguration"}', '{"kind": "KubeProxyConfiguration", "mode": "ipvs", "ipvs": {"scheduler": "rr"}}'),
        ("{}", '{"mode": "ipvs", "ipvs": {"scheduler": "rr"}}'),
        ('{"ipvs":{"scheduler":"lc"},"mode":"iptables"}', '{"ipvs":{"scheduler":"rr"},"mode":"ipvs"}'),
        ('{"ipvs": {}, "resources": {"limits": null}}', '{"ipvs": {"scheduler": "rr"}, "resources": {"limits": null}, "mode": "ipvs"}'),
        ('{"ipvs": null}', '{"ipvs": {"scheduler": "rr"}, "mode": "ipvs"}'),
        ('{\n\t"mode": "iptables"\n}\n', '{\n\t"mode": "ipvs", "ipvs": {"scheduler": "rr"}\n}\n'),
    ],
)
def test_json_stays_json(text, expected):
    after = edit(text, partial=True, mode="ipvs", scheduler="rr")
    assert after == expected
    assert json.loads(after)["mode"] == "ipvs"


def test_flow_style_section():
    text = HEAD + "ipvs: {scheduler: lc, excludeCIDRs: [203.0.113.0/24]}  # ours\nmode: ipvs\n"
    after = edit(text, scheduler="rr", strict_arp=True, exclude_cidrs=["2001:db8::/32"])
    assert after == HEAD + 'ipvs: {scheduler: rr, excludeCIDRs: ["2001:db8::/32"], strictARP: true}  # ours\nmode: ipvs\n'


def test_quoting_and_comments_stay():
    text = HEAD + "ipvs:\n  # why not rr\n  scheduler: 'lc' # least\n\n  strictARP: false  # metallb\nmode: \"iptables\"   # old\n"
    assert edit(text, mode="nftables", scheduler="sh", strict_arp=True) == text.replace("'lc'", "'sh'").replace("false", "true").replace(
        '"iptables"', '"nftables"'
    )


def test_a_new_key_goes_behind_the_comment_of_the_last_one_and_before_the_next_section():
    text = HEAD + "ipvs:\n  scheduler: rr  # stays\n  # about the section\n\n# about the mode\nmode: ipvs\n"
    assert edit(text, strict_arp=True) == text.replace("# stays\n", "# stays\n  strictARP: true\n")


def test_block_list_keeps_the_lines_of_what_stays():
    text = HEAD + "ipvs:\n  excludeCIDRs:\n  - 203.0.113.0/25   # the old pool\n  - 198.51.100.0/24  # the VIPs\n  - 203.0.113.128/25\n  scheduler: rr\n"
    after = edit(text, exclude_cidrs=["2001:db8::/32", "198.51.100.0/24"])
    assert after == HEAD + "ipvs:\n  excludeCIDRs:\n  - 198.51.100.0/24  # the VIPs\n  - 2001:db8::/32\n  scheduler: rr\n"
    after = edit(text, exclude_cidrs=["2001:db8::/32"])
    assert after == HEAD + "ipvs:\n  excludeCIDRs:\n  - 2001:db8::/32\n  scheduler: rr\n"
    after = edit(text, exclude_cidrs=[])
    assert after == HEAD + "ipvs:\n  excludeCIDRs: []\n  scheduler: rr\n"
    without_end = text[: text.index("\n  scheduler")]
    assert yaml.safe_load(edit(without_end, exclude_cidrs=["203.0.113.0/25"]))["ipvs"] == {"excludeCIDRs": ["203.0.113.0/25"]}


def test_windows_newlines():
    text = KUBEADM.replace("\n", "\r\n")
    after = edit(text, mode="ipvs", scheduler="rr", exclude_cidrs=["203.0.113.0/24"])
    assert after.replace("\r\n", "\n") == edit(KUBEADM, mode="ipvs", scheduler="rr", exclude_cidrs=["203.0.113.0/24"])
    assert after.count("\r\n") == after.count("\n")
    added = edit(K3S.replace("\n", "\r\n"), scheduler="rr")
    assert added.endswith("ipvs:\r\n  scheduler: rr\r\n")


def test_several_documents():
    text = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nmode: x\n---\n" + KUBEADM + "---\nkind: KubeletConfiguration\n"
    after = edit(text, mode="ipvs")
    assert after == text.replace('mode: ""', 'mode: "ipvs"')
    ended = "---\n" + HEAD + "...\n"
    assert edit(ended, mode="ipvs") == "---\n" + HEAD + "mode: ipvs\n...\n"


@pytest.mark.parametrize("last", ["note: |\n  text\n", "note: >-\n  text\n\n", "note: |+\n  text\n\n", "notes:\n- a\n- b\n", "note:\n", "a:\n  b:\n    c: d"])
def test_added_behind_any_kind_of_value(last):
    text = HEAD + last
    after = edit(text, mode="ipvs", strict_arp=False)
    assert yaml.safe_load(after) == {**yaml.safe_load(text), "mode": "ipvs", "ipvs": {"strictARP": False}}
    assert after.startswith(text.rstrip("\n"))


def test_a_value_in_a_block_scalar_or_missing():
    assert edit(HEAD + "mode: |-\n  iptables\nipvs:\n  scheduler:\n  strictARP:  # yes?\n", mode="ipvs", scheduler="rr", strict_arp=True) == (
        HEAD + "mode: ipvs\nipvs:\n  scheduler: rr\n  strictARP: true  # yes?\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mode:", "mode: ipvs\nipvs:\n  scheduler: rr"),
        ("ipvs:\n  scheduler:", "ipvs:\n  scheduler: rr\nmode: ipvs"),
        ("mode:\nipvs:", "mode: ipvs\nipvs:\n  scheduler: rr"),
        ("mode:  # old", "mode: ipvs  # old\nipvs:\n  scheduler: rr"),
    ],
)
@pytest.mark.parametrize("tail", ["", "\n"])
def test_a_missing_value_at_the_end(text, expected, tail):
    assert edit(HEAD + text + tail, mode="ipvs", scheduler="rr") == HEAD + expected + tail


def test_names_that_yaml_would_read_as_something_else_are_quoted():
    after = edit(HEAD, scheduler="on")
    assert yaml.safe_load(after)["ipvs"] == {"scheduler": "on"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one KubeProxyConfiguration in the text, found nothing"),
        ("# nothing\n", "found nothing"),
        ("kind: ConfigMap\n", "found ConfigMap"),
        ("- a\n", "found a document without a kind"),
        ("just text", "found a document without a kind"),
        (KUBEADM + "---\n" + KUBEADM, "found 2"),
        (HEAD + "mode: ipvs\n\tx: y\n", "not valid YAML: line 4"),
        (HEAD + "x:\n-\ty\n", "not valid YAML: line 4"),
        (HEAD + "mode: 'ipvs\n", "not valid YAML: line"),
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
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "IPVS"}, "mode: 'IPVS' is not valid: give one of ipvs, nftables, iptables"),
        ({"scheduler": "round robin"}, "scheduler: 'round robin' is not valid"),
        ({"scheduler": ""}, "scheduler: '' is not valid"),
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


@pytest.mark.parametrize("blank", ["\t", " \t", "\t \t", "\t\t\t"])
def test_tabs_between_a_value_and_its_comment(blank):
    text = (
        HEAD + f'mode: ""{blank}# old\nipvs:{blank}# section\n  scheduler: lc{blank}\n  strictARP:{blank}false{blank}# metallb\n  excludeCIDRs:{blank}# none\n'
    )
    after = edit(text, mode="ipvs", scheduler="rr", strict_arp=True, exclude_cidrs=["203.0.113.0/24"])
    expected = text.replace('""', '"ipvs"').replace("lc", "rr").replace("false", "true").replace("CIDRs:", 'CIDRs: ["203.0.113.0/24"]')
    assert after == expected
    assert edit(after, mode="ipvs", scheduler="rr", strict_arp=True, exclude_cidrs=["203.0.113.0/24"]) == after


@pytest.mark.parametrize("gap", ["\n    ", "  # why\n    ", "\n\n  # why\n   "])
def test_an_item_on_the_line_after_its_dash(gap):
    head = HEAD + "ipvs:\n  excludeCIDRs:\n"
    text = head + f"  -{gap}203.0.113.0/24\n  - 198.51.100.0/24  # the VIPs\n  -{gap}2001:db8::/32  # six\n  scheduler: rr\n"
    assert edit(text, exclude_cidrs=["198.51.100.0/24"]) == head + "  - 198.51.100.0/24  # the VIPs\n  scheduler: rr\n"
    assert edit(text, exclude_cidrs=["203.0.113.0/24", "198.51.100.0/25"]) == head + f"  -{gap}203.0.113.0/24\n  - 198.51.100.0/25\n  scheduler: rr\n"
    assert edit(text, exclude_cidrs=["198.51.100.0/26"]) == head + "  - 198.51.100.0/26\n  scheduler: rr\n"


def test_items_in_block_scalars_and_items_that_are_there_twice():
    head = HEAD + "ipvs:\n  excludeCIDRs:\n"
    text = head + "  - |-\n    203.0.113.0/24\n  - 198.51.100.0/24  # one\n  - 198.51.100.1/24  # the same\n  scheduler: rr\n"
    assert edit(text, exclude_cidrs=["198.51.100.0/24"]) == head + "  - 198.51.100.0/24  # one\n  scheduler: rr\n"


def test_a_merge_key_is_no_second_key():
    text = HEAD + "base: &b {scheduler: lc, tcpTimeout: 1h}\nipvs:\n  <<: *b\n  scheduler: rr\n"
    assert edit(text, scheduler="rr", tcp_timeout="1h") == text
    after = edit(text, scheduler="sh", tcp_timeout="2h")
    assert after == text.replace("rr", "sh") + "  tcpTimeout: 2h\n"
    assert yaml.safe_load(after)["ipvs"] == {"scheduler": "sh", "tcpTimeout": "2h"}


def test_a_value_that_is_not_equal_to_itself():
    text = HEAD + "note: .nan\n"
    assert edit(text, mode="ipvs") == text + "mode: ipvs\n"


def test_the_input_has_to_be_text():
    with pytest.raises(AnsibleFilterError, match="expected the text of a KubeProxyConfiguration, got dict"):
        edit({"mode": "ipvs"}, mode="ipvs")


# --- Random configurations ---

KEYS = st.sampled_from(["bindAddress", "iptables", "conntrack", "portRange", "nftables", "x-note", "zz"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(alphabet="abc #:'\"{}[],&*!|>%@`-", max_size=8))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=5)
DURATIONS = st.sampled_from(["0s", "30s", "1m0s", "15m", "1h30m", "250ms"])
CIDRS = st.lists(st.sampled_from(["203.0.113.0/24", "198.51.100.0/25", "2001:db8::/32", "2001:db8:1::/48"]), max_size=4, unique=True)
SECTION = st.fixed_dictionaries(
    {},
    optional={
        "scheduler": st.sampled_from(["", "rr", "lc", "sh"]),
        "strictARP": st.booleans() | st.none(),
        "excludeCIDRs": CIDRS | st.none(),
        "tcpTimeout": DURATIONS | st.none(),
        "zz": VALUES,
    },
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["ipvs", "nftables", "iptables"]),
        "scheduler": st.sampled_from(["rr", "wlc", "on"]),
        "strict_arp": st.booleans(),
        "exclude_cidrs": CIDRS,
        "tcp_timeout": DURATIONS,
        "udp_timeout": DURATIONS,
    },
)
NAMES = {
    "scheduler": "scheduler",
    "strict_arp": "strictARP",
    "exclude_cidrs": "excludeCIDRs",
    "tcp_timeout": "tcpTimeout",
    "udp_timeout": "udpTimeout",
}


@st.composite
def configurations(draw):
    """The text of a configuration, the text's comments, and what it means."""
    value = {"kind": "KubeProxyConfiguration", **draw(st.dictionaries(KEYS, VALUES, max_size=3))}
    value.update(draw(st.fixed_dictionaries({}, optional={"mode": st.sampled_from(["", "ipvs", "iptables"]), "ipvs": SECTION | st.none()})))
    names = draw(st.permutations(list(value)))
    value = {name: value[name] for name in names}
    if draw(st.booleans()):
        text = json.dumps(value, indent=draw(st.sampled_from([None, 2])))
        return text, [], value
    text = "".join(
        f"# about {name}\n"
        + (
            f"{name}: {json.dumps(part)}\n"
            if draw(st.booleans())
            else yaml.safe_dump({name: part}, default_flow_style=False, indent=draw(st.sampled_from([2, 4])))
        )
        for name, part in value.items()
    )
    text = text if draw(st.booleans()) else text.rstrip("\n")
    return text, [f"# about {name}" for name in value], value


def changed(before, settings):
    """What the settings make of a configuration, worked out without the filter."""
    expected = dict(before)
    if "mode" in settings:
        expected["mode"] = settings["mode"]
    section = dict(before.get("ipvs") or {})
    for option, name in NAMES.items():
        if option in settings and not (settings[option] == [] and section.get(name) in (None, [])):
            section[name] = settings[option]
    if section != (before.get("ipvs") or {}):
        expected["ipvs"] = section
    return expected


def spelt_out(text):
    """A duration in seconds and a network in its usual spelling; anything else as it is."""
    if isinstance(text, str) and re.fullmatch(r"([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h))+", text):
        units = {"ns": "e-9", "us": "e-6", "ms": "e-3", "s": "", "m": "*60", "h": "*3600"}
        parts = [(number, *(units[unit] + "*1").split("*")[:2]) for number, unit in re.findall(r"([0-9.]+)([a-z]+)", text)]
        return str(sum(Decimal(number + exponent) * Decimal(factor) for number, exponent, factor in parts).normalize())
    if isinstance(text, str) and re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]+", text):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_network(text, strict=False))
    return text


def comparable(value):
    """A configuration as a text of all its values with their types. Equal networks and durations may be spelt differently."""
    section = value.get("ipvs")
    if isinstance(section, dict):
        section = {name: spelt_out(part) for name, part in section.items()}
        if isinstance(section.get("excludeCIDRs"), list):
            section["excludeCIDRs"] = sorted(map(spelt_out, section["excludeCIDRs"]), key=repr)
        value = {**value, "ipvs": section}
    return yaml.safe_dump(value)


@given(configurations(), SETTINGS)
def test_any_configuration(configuration, settings):
    text, comments, before = configuration
    after = edit(text, **settings)
    result = yaml.safe_load(after)
    assert comparable(result) == comparable(changed(before, settings))
    assert [line for line in after.split("\n") if line.startswith("# about")] == comments
    assert edit(after, **settings) == after
    kept = [name for name in before if name in result]
    assert [name for name in result if name in before] == kept


@pytest.mark.parametrize("mark", ["\ufeff", "# note\ufeff", "'\ufeff'"])
def test_a_byte_order_mark_in_the_middle_is_refused(mark):
    with pytest.raises(AnsibleFilterError, match="line 2 has a byte order mark"):
        edit(f"apiVersion: kubeproxy.config.k8s.io/v1alpha1\nmetricsBindAddress: {mark}\nkind: KubeProxyConfiguration\n", mode="ipvs")


# --- Random spellings, and texts that somebody damaged ---

# libyaml reads tabs between tokens, as Go's YAML does, and shares no code with the reader that the filter uses.
LOADER = yaml.CSafeLoader
BLANKS = st.sampled_from([" ", "  ", "\t", " \t", "\t\t "])
TAILS = st.one_of(st.just(""), st.builds(lambda blank, note: blank + note, BLANKS, st.sampled_from(["# it's: [why]", "#", '# \t- "x'])))
QUOTES = st.sampled_from(["{}", "'{}'", '"{}"'])
SPELT_CIDRS = st.lists(
    st.sampled_from(["203.0.113.0/24", "198.51.100.1/25", "2001:db8::/32", "2001:DB8:1:0::/48", "198.51.100.130/25"]), max_size=4, unique=True
)


@st.composite
def spellings(draw):
    """A configuration line by line, with everything that YAML leaves to taste. Returns the text."""

    def line(indent, name, value):
        quoted = draw(QUOTES).format(value) if value else draw(st.sampled_from(["", "''", '""', "null", "~"]))
        return " " * indent + name + ":" + (draw(BLANKS) + quoted if quoted else "") + draw(TAILS)

    def networks(indent, items):
        if not items or draw(st.booleans()):
            inside = ("," + draw(BLANKS)).join(draw(QUOTES).format(item) if ":" not in item else f'"{item}"' for item in items)
            return [" " * indent + "excludeCIDRs:" + draw(BLANKS) + "[" + inside + "]" + draw(TAILS)]
        column = indent + draw(st.sampled_from([0, 2]))
        lines = [" " * indent + "excludeCIDRs:" + draw(TAILS)]
        for item in items:
            if draw(st.booleans()):
                lines.append(" " * column + "- " + draw(QUOTES).format(item) + draw(TAILS))
            else:
                lines += [" " * column + "-" + draw(st.sampled_from(["", "  # why"]))]  # no tab: it would be indentation
                lines += draw(st.lists(st.sampled_from(["", " " * column + "# about it", "# far left"]), max_size=2))
                lines += [" " * (column + 2) + draw(QUOTES).format(item) + draw(TAILS)]
        return lines

    indent = draw(st.sampled_from([1, 2, 4]))
    section = []
    for name, values in (("scheduler", ["", "rr", "lc"]), ("tcpTimeout", ["", "0s", "60s", "90m"]), ("strictARP", ["", "true", "false"])):
        if draw(st.booleans()):
            value = draw(st.sampled_from(values))
            plain = name == "strictARP" and value
            section.append([" " * indent + f"{name}: {value}" + draw(TAILS)] if plain else [line(indent, name, value)])
    if draw(st.booleans()):
        section.append(networks(indent, draw(SPELT_CIDRS)))
    blocks = [[line(0, "kind", "KubeProxyConfiguration")], ["note:" + draw(BLANKS) + "|", "  mode: x", "  - y\t# z"]]
    blocks.append([line(0, "mode", draw(st.sampled_from(["", "ipvs", "iptables"])))])
    if draw(st.booleans()):
        blocks.append(["base: &base" + draw(BLANKS) + "{zz: 1, udpTimeout: 5m}"])
        section.insert(0, [" " * indent + "<<: *base"])
    head = blocks[:]
    if draw(st.booleans()):
        content = [text for part in section for text in [*part, *draw(st.lists(st.sampled_from(["", "# between"]), max_size=1))]]
        head.append(["ipvs:" + draw(TAILS), *content])
    lines = [text for part in head for text in part]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    return text + draw(st.sampled_from(["", "\n", "\n...\n", "\n---\nkind: Other\nmode: x\n"]))


def check(before, after, wanted, partial=False):
    """What the filter returned says what was asked for, and nothing else of the text has another meaning."""
    old, new = (list(yaml.load_all(text, Loader=LOADER)) for text in (before, after))
    ours = [index for index, value in enumerate(old) if isinstance(value, dict) and value.get("kind") == "KubeProxyConfiguration"]
    if partial and len(old) == 1:
        ours = [0]
    assert len(ours) == 1
    expected = [changed(value, wanted) if index in ours else value for index, value in enumerate(old)]
    result, expected = ([comparable(value) if index in ours else value for index, value in enumerate(values)] for values in (new, expected))
    assert result == expected
    assert edit(after, partial=partial, **wanted) == after


@settings(max_examples=200)
@given(spellings(), SETTINGS)
def test_any_spelling(text, wanted):
    check(text, edit(text, **wanted), wanted)


@st.composite
def damaged(draw):
    """The text of a configuration with a few random changes: bytes of YAML put in, parts taken out, put twice or put elsewhere."""
    text = draw(st.sampled_from([EKS, KUBEADM, K3S, EKS.replace("\n", "\r\n"), json.dumps(yaml.safe_load(KUBEADM), indent=1)]))
    for _change in range(draw(st.integers(1, 4))):
        # Most of the changes hit what the filter edits.
        places = [match.start() for match in re.finditer(r"mode|ipvs|scheduler|excludeCIDRs|syncPeriod|kind|\n", text)] or [0]
        start = min(len(text), draw(st.sampled_from(places)) + draw(st.integers(-3, 20)) % 40)
        piece = text[start : start + draw(st.integers(0, 30))]
        kind = draw(st.sampled_from(["in", "out", "twice", "away"]))
        if kind == "in":
            text = text[:start] + draw(st.text(alphabet=FUZZ, min_size=1, max_size=4)) + text[start:]
        elif kind == "out":
            text = text[:start] + text[start + len(piece) :]
        elif kind == "twice":
            text = text[:start] + piece + text[start:]
        else:
            text = text[:start] + text[start + len(piece) :] + piece
    return text


FUZZ = "\t\n\r #:-?{}[]&*!|>'\"%@`,<=~.\\0x/aipvsmode\x85\u2028\ufeff\u0661\x00"


@settings(max_examples=200)
@given(damaged(), SETTINGS, st.booleans())
def test_a_damaged_configuration_is_edited_rightly_or_refused(text, wanted, partial):
    try:
        after = edit(text, partial=partial, **wanted)
    except AnsibleFilterError:
        return
    check(text, after, wanted, partial)


@settings(max_examples=200)
@given(st.text(alphabet=FUZZ + "kind: KubeProxyConfiguration", max_size=60), SETTINGS)
@example("%", {"mode": "ipvs"})
def test_any_text_at_all_is_edited_or_refused(text, wanted):
    for source in (text, HEAD + text, HEAD + "ipvs: " + text, HEAD + "ipvs:\n  excludeCIDRs:\n  " + text):
        try:
            assert edit(edit(source, **wanted), **wanted) == edit(source, **wanted)
        except AnsibleFilterError:
            pass
