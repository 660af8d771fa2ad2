# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter lvs.ipvs.kube_proxy_config on the shapes in which a KubeProxyConfiguration is found."""

from __future__ import annotations

import json

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from hypothesis import given
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
    assert edit(K3S, exclude_cidrs=[]) != K3S or "excludeCIDRs" not in K3S


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
    after = edit(text, mode="ipvs", scheduler="rr")
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


def test_names_that_yaml_would_read_as_something_else_are_quoted():
    after = edit(HEAD, scheduler="on")
    assert yaml.safe_load(after)["ipvs"] == {"scheduler": "on"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected one KubeProxyConfiguration in the text, found 0"),
        ("# nothing\n", "found 0"),
        ("kind: ConfigMap\n", "found 0, but ConfigMap"),
        ("- a\n", "found 0, but a document without a kind"),
        ("just text", "found 0"),
        (KUBEADM + "---\n" + KUBEADM, "found 2"),
        (HEAD + "mode:\tipvs\n\tx: y\n", "not valid YAML: line 3"),
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


@given(configurations(), SETTINGS)
def test_any_configuration(configuration, settings):
    text, comments, before = configuration
    after = edit(text, **settings)
    expected = dict(before)
    if "mode" in settings:
        expected["mode"] = settings["mode"]
    section = dict(before.get("ipvs") or {})
    for option, name in NAMES.items():
        if option in settings and not (settings[option] == [] and not section.get(name)):
            section[name] = settings[option]
    if section != (before.get("ipvs") or {}):
        expected["ipvs"] = section
    result = yaml.safe_load(after)
    for side in (result, expected):
        if side.get("ipvs") and side["ipvs"].get("excludeCIDRs"):
            side["ipvs"] = {**side["ipvs"], "excludeCIDRs": sorted(side["ipvs"]["excludeCIDRs"])}
    assert result == expected
    assert [line for line in after.split("\n") if line.startswith("# about")] == comments
    assert edit(after, **settings) == after
    kept = [name for name in before if name in result]
    assert [name for name in result if name in before] == kept
