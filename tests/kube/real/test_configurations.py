# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filter kube_proxy_config writes, read by kube-proxy's own strict decoder and validation (kube-proxy-check of tests/kube/parts)."""

from __future__ import annotations

import ipaddress
import json
import random
import subprocess

import pytest
import yaml

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import kube_proxy_config as edit
from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_support import SCHEDULERS, kube_proxy_support
from tests.kube.parts import TYPES, programs
from tests.unit.kube_proxy_shapes import SHAPES
from tests.unit.kube_proxy_texts import EKS, HEAD, K3S, KUBEADM

CASES = 5000
WANTED = [
    {"mode": "ipvs"},
    {"mode": "iptables", "scheduler": "sh"},
    {"mode": "ipvs", "scheduler": "lc", "strict_arp": True, "exclude_cidrs": ["203.0.113.0/24", "2001:db8::/32"]},
    {"sync_period": "1m", "min_sync_period": "250ms", "tcp_timeout": "1h30m", "tcp_fin_timeout": "1.5s", "udp_timeout": "0s", "exclude_cidrs": []},
]
# Settings of the filter, as kube-proxy's own structure names them.
NAMES = {
    "scheduler": "Scheduler", "strict_arp": "StrictARP", "exclude_cidrs": "ExcludeCIDRs", "sync_period": "SyncPeriod", "min_sync_period": "MinSyncPeriod",
    "tcp_timeout": "TCPTimeout", "tcp_fin_timeout": "TCPFinTimeout", "udp_timeout": "UDPTimeout",
}  # fmt: skip
# The same, as they stand in the file.
SPELT = {name: spelt[0].lower() + spelt[1:] for name, spelt in NAMES.items()} | {
    "exclude_cidrs": "excludeCIDRs", "tcp_timeout": "tcpTimeout", "tcp_fin_timeout": "tcpFinTimeout", "udp_timeout": "udpTimeout",
}  # fmt: skip
# Go writes a duration in one way alone.
DURATIONS = {"0s": "0s", "60s": "1m0s", "1m": "1m0s", "250ms": "250ms", "1h30m": "1h30m0s", "1.5s": "1.5s", "90m": "1h30m0s", "2h": "2h0m0s"}
NETWORKS = ["203.0.113.0/24", "198.51.100.0/25", "198.51.100.130/25", "2001:db8::/32", "2001:DB8:1:0::/48"]


def kube_proxy(texts: list[str]) -> list[dict]:
    done = subprocess.run([programs() / "kube-proxy-check"], input=json.dumps(texts), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def of_this_version(text: str) -> str:
    """The one document that is kube-proxy's, without the keys that Kubernetes has got since."""
    (document,) = (each for each in yaml.safe_load_all(text) if each["kind"] == "KubeProxyConfiguration")
    for name in ("metadata", "detectLocal", "logging", "nftables"):
        document.pop(name, None)
    for section, names in (
        ("conntrack", ("tcpBeLiberal", "udpStreamTimeout", "udpTimeout")), ("featureGates", ("KubeProxyIPVS",)),
        ("iptables", ("localhostNodePorts",)), ("winkernel", ("forwardHealthCheckVip", "rootHnsEndpointName")),
    ):  # fmt: skip
        for name in names:
            document.get(section, {}).pop(name, None)
    return "# ours\n" + yaml.safe_dump(document)


def expected(before: dict, wanted: dict) -> dict:
    ipvs = dict(before["IPVS"])
    for option, value in wanted.items():
        if option != "mode":
            ipvs[NAMES[option]] = DURATIONS[value] if option.endswith(("period", "timeout")) else value
    # What this version's own defaults make of zero.
    ipvs["SyncPeriod"] = "30s" if ipvs["SyncPeriod"] == "0s" else ipvs["SyncPeriod"]
    return {**before, "Mode": wanted.get("mode", before["Mode"]), "IPVS": ipvs}


def comparable(configuration: dict) -> dict:
    """Equal networks may be spelt and ordered differently, and no list is an empty one."""
    networks = sorted(str(ipaddress.ip_network(each, strict=False)) for each in configuration["IPVS"]["ExcludeCIDRs"] or [])
    return {**configuration, "IPVS": {**configuration["IPVS"], "ExcludeCIDRs": networks}}


def compare(texts: list[str], all_desired: list[dict]) -> None:
    edited = [edit(text, **wanted) for text, wanted in zip(texts, all_desired, strict=True)]
    again = [edit(text, **wanted) for text, wanted in zip(edited, all_desired, strict=True)]
    assert again == edited
    answers = kube_proxy([*texts, *edited])
    for text, wanted, result, old, new in zip(texts, all_desired, edited, answers, answers[len(texts) :], strict=False):
        assert set(old) == {"configuration"}, (text, old)
        assert set(new) == {"configuration"}, (text, wanted, result, new)
        assert comparable(new["configuration"]) == comparable(expected(old["configuration"], wanted)), (text, wanted, result)


def test_every_shape_is_decoded():
    shapes = [of_this_version(text) for text in (EKS, KUBEADM, K3S)] + [EKS, K3S, HEAD, json.dumps(yaml.safe_load(EKS)), HEAD + "ipvs: {}\n"]
    pairs = [(text, wanted) for text in shapes for wanted in WANTED]
    compare([text for text, _wanted in pairs], [wanted for _text, wanted in pairs])


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_a_tools_shape_is_decoded(text):
    compare([of_this_version(text)] * len(WANTED), WANTED)


def test_todays_types_take_every_shape():
    """As the tools write it, with all keys, decoded strictly by the newest types that there are (Kubernetes 1.36 in November 2026)."""
    texts = {"EKS": EKS, "kubeadm": KUBEADM, "k3s": K3S, **SHAPES}
    all_desired = [*WANTED, {"mode": "nftables"}]
    edited = [own(edit(text, **wanted)) for text in texts.values() for wanted in all_desired]
    decoder = programs(TYPES) / "kube-proxy-types"
    done = subprocess.run([decoder], input=json.dumps([*edited, HEAD + "ipvs: {schedulr: rr}\n"]), capture_output=True, text=True, check=True)
    *answers, refused = json.loads(done.stdout)
    assert 'unknown field "schedulr"' in refused["error"]
    for text, answer, wanted in zip(edited, answers, all_desired * len(texts), strict=True):
        assert set(answer) == {"configuration"}, (text, answer)
        for option, value in wanted.items():
            got = answer["configuration"]["mode"] if option == "mode" else answer["configuration"]["ipvs"][SPELT[option]]
            assert (got or []) == (DURATIONS[value] if option.endswith(("period", "timeout")) else value), (text, option)


def own(text: str) -> str:
    """The one document that is kube-proxy's, as kubeadm and kind hand it on; without what is gone since 1.20."""
    (document,) = (each for each in yaml.safe_load_all(text) if each["kind"] == "KubeProxyConfiguration")
    for name in ("metadata", "udpIdleTimeout"):
        document.pop(name, None)
    return yaml.safe_dump(document)


@pytest.mark.parametrize("text", SHAPES.values(), ids=SHAPES)
def test_kube_proxy_itself_reads_a_tools_shape(tmp_path, text):
    """The program, with the file that it is given on a node; it writes down what it makes of it, and ends."""
    # The whole text is edited, with all its documents.
    (tmp_path / "config.conf").write_text(of_this_version(edit(text, mode="ipvs", scheduler="lc", strict_arp=True)))
    command = [programs() / "kube-proxy", f"--config={tmp_path}/config.conf", f"--write-config-to={tmp_path}/read"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    read = yaml.safe_load((tmp_path / "read").read_text())
    assert (read["mode"], read["ipvs"]["scheduler"], read["ipvs"]["strictARP"]) == ("ipvs", "lc", True)


def test_what_the_decoder_refuses_is_seen():
    """The oracle itself: an unknown key, a wrong type, and what only the validation refuses."""
    answers = kube_proxy([
        HEAD + "ipvs: {schedulr: rr}\n", HEAD + "ipvs: {strictARP: often}\n", HEAD + "mode: ipvs\nipvs: {minSyncPeriod: 1h}\n",
        HEAD + "mode: ipvs\nmode: ipvs\n"])
    assert "unknown field: schedulr" in answers[0]["error"]
    assert "error" in answers[1] and "error" in answers[3]
    assert "SyncPeriod" in answers[2]["invalid"]


@pytest.mark.parametrize("scheduler", [*SCHEDULERS, "mh", "fo", "ovf"])
def test_schedulers(scheduler):
    """What the role refuses is what kube-proxy does not start with."""
    answer = kube_proxy([edit(HEAD, mode="ipvs", scheduler=scheduler)])[0]
    assert ("invalid" in answer) == (scheduler not in SCHEDULERS)
    refused = kube_proxy_support("ipvs", [(programs() / "version").read_text()], scheduler=scheduler)["refusal"]
    assert bool(refused) == ("invalid" in answer)


def spelled(chance: random.Random, value: object) -> str:
    """A value in one of the ways that YAML has for it."""
    if isinstance(value, str):
        return chance.choice(["{}", "'{}'", '"{}"']).format(value) if value and ":" not in value else json.dumps(value)
    return {True: "true", False: "false", None: chance.choice(["null", "~", ""])}[value]


def random_text(chance: random.Random) -> str:
    indent = " " * chance.choice([1, 2, 4])

    def note():
        return chance.choice(["", "", "  # why: 'so'", "\t# tab"])

    section = []
    for name, values in (
        ("scheduler", ["", "rr", "lc", "sh"]), ("strictARP", [True, False, None]), ("tcpTimeout", ["0s", "60s", "90m"]), ("udpTimeout", ["0s", "250ms"]),
        ("syncPeriod", ["60s", "2h"]), ("minSyncPeriod", ["0s", "250ms"]), ("tcpFinTimeout", ["1.5s"]),
    ):  # fmt: skip
        if chance.random() < 0.5:
            section.append(f"{indent}{name}: {spelled(chance, chance.choice(values))}{note()}")
    if chance.random() < 0.6:
        networks = chance.sample(NETWORKS[:2] + NETWORKS[3:], chance.randrange(4))
        if chance.random() < 0.5 and networks:
            column = indent + chance.choice(["", "  "])
            section += [f"{indent}excludeCIDRs:{note()}", *(f'{column}- "{network}"{note()}' for network in networks)]
        else:
            section.append(f"{indent}excludeCIDRs: " + (json.dumps(networks) if networks else chance.choice(["null", "[]", "~"])) + note())
    if not any(line.lstrip().startswith("-") for line in section):
        chance.shuffle(section)
    blocks = [["apiVersion: kubeproxy.config.k8s.io/v1alpha1"], ["kind: KubeProxyConfiguration" + note()]]
    if chance.random() < 0.7:
        blocks.append([f"mode: {spelled(chance, chance.choice(['', 'ipvs', 'iptables']))}{note()}"])
    if section or chance.random() < 0.3:
        blocks.append([f"ipvs:{note()}", *section] if section else [f"ipvs: {chance.choice(['{}', 'null', ''])}{note()}"])
    for line in ("bindAddress: 0.0.0.0", "oomScoreAdj: -998", 'clusterCIDR: "198.51.100.0/24"', "conntrack: {min: 131072}", "featureGates: {}", "# alone"):
        if chance.random() < 0.4:
            blocks.append([line])
    chance.shuffle(blocks)
    text = chance.choice(["\n", "\n", "\r\n"]).join(line for block in blocks for line in block) + chance.choice(["", "\n"])
    return text if chance.random() < 0.8 else json.dumps(yaml.load(text, Loader=yaml.CSafeLoader), indent=chance.choice([None, 2]))


def random_desired(chance: random.Random) -> dict:
    every = {
        "mode": ["ipvs", "iptables"], "scheduler": ["rr", "wlc", "nq"], "strict_arp": [True, False], "tcp_timeout": ["0s", "60s", "1h30m"],
        "exclude_cidrs": [[], NETWORKS[:1], NETWORKS[1:4], NETWORKS[3:]], "tcp_fin_timeout": ["1.5s", "2h"], "udp_timeout": ["250ms", "0s"],
        "sync_period": ["60s", "2h"],
    }  # fmt: skip
    names = chance.sample(list(every), chance.randint(1, 4))
    return {name: chance.choice(every[name]) for name in names}


def test_5000_random_configurations():
    """Never a wrong value, never a crash, and a second application never changes. The seed is part of the message."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    compare([random_text(chance) for _case in range(CASES)], [random_desired(chance) for _case in range(CASES)])
