# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter lvs.ipvs.kube_proxy_config on the shapes in which a KubeProxyConfiguration is found."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.lvs.ipvs.plugins.filter import kube_proxy_config
from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import FilterModule
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _kube_proxy_editor, _kube_proxy_settings
from tests.unit.kube_proxy_texts import EKS, HEAD, K3S, KUBEADM

edit = FilterModule().filters()["kube_proxy_config"]


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


def test_the_answer_is_plain_text_whatever_kind_of_text_came():
    """Ansible's own kinds of text say where they came from; it does not matter whether anything was changed."""

    class Marked(str):
        pass

    assert type(edit(Marked(EKS))) is type(edit(Marked(EKS), mode="ipvs")) is str


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


def test_a_duration_of_as_many_digits_as_go_holds():
    assert _kube_proxy_settings._nanoseconds("1000000000000000000ns") == 10**18
    assert _kube_proxy_settings._nanoseconds("") is None


def test_values_are_equal_where_their_types_are():
    assert _kube_proxy_settings._equal("ipvs", "ipvs") and not _kube_proxy_settings._equal(1, True) and not _kube_proxy_settings._equal("a", "b")


def test_times_that_are_not_touched_are_not_judged():
    text = HEAD + "ipvs:\n  minSyncPeriod: 1m\n  syncPeriod: 10s\n  scheduler: lc\n"
    assert edit(text, scheduler="rr") == text.replace("lc", "rr")


def test_an_empty_section_on_a_line_of_its_own():
    assert edit(HEAD + "ipvs:\n  {}\nmode: ipvs\n", scheduler="rr") == HEAD + "ipvs:\n\n  scheduler: rr\nmode: ipvs\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"kind": "KubeProxyConfiguration"}', '{"kind": "KubeProxyConfiguration", "mode": "ipvs", "ipvs": {"scheduler": "rr"}}'),
        ("{}", '{"mode": "ipvs", "ipvs": {"scheduler": "rr"}}'),
        ("{}\n", '{"mode": "ipvs", "ipvs": {"scheduler": "rr"}}\n'),
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


@pytest.mark.parametrize("wrong", ["5", "198.51.100.0/24", "true", "[198.51.100.0/24, 198.51.100.0/24]"])
def test_networks_that_are_no_list_are_replaced(wrong):
    """kube-proxy does not start with the first three."""
    after = edit(HEAD + f"ipvs:\n  excludeCIDRs: {wrong}\n", exclude_cidrs=["198.51.100.0/24"])
    assert yaml.safe_load(after)["ipvs"] == {"excludeCIDRs": ["198.51.100.0/24"]}


def test_a_list_of_networks_is_not_the_same_as_none():
    wanted, none = ({"ipvs": {"excludeCIDRs": networks}} for networks in (["203.0.113.0/24"], None))
    assert not kube_proxy_config._same(none, wanted) and not kube_proxy_config._same(wanted, none)


def test_what_goes_in_before_a_value_stays_when_the_value_is_replaced():
    editor = _kube_proxy_editor.Editor("a: 1\n")
    editor.replace(3, 3, "!!int ", _kube_proxy_editor.ITEMS)
    editor.replace(3, 4, "2")
    assert editor.result() == "a: !!int 2\n"
