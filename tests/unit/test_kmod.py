# SPDX-License-Identifier: GPL-3.0-or-later
"""Which modules a kernel has, and what to do where one is missing."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod

from .module_node import IPVS, RUNNING, Node, node_with_ipvs


@pytest.fixture
def node(tmp_path):
    return node_with_ipvs(tmp_path)


# state and missing_hint


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ip_vs", "loadable"),
        ("ip_vs_rr", "loadable"),
        ("ip-vs-rr", "loadable"),
        ("ip_vs_wrr", "loadable"),
        ("ip_vs_odd", "loadable"),
        ("ip_conntrack", "loadable"),
        ("ipv6", "loaded"),
        ("tunnel4", "builtin"),
        ("ip_vs_foo", "missing"),
        ("alias_off", "missing"),
        ("libcrc32c", "missing"),
    ],
)
def test_state(node, name, expected):
    assert _kmod.state(name, root=str(node.root)) == expected


def test_what_is_loaded_now_is_seen_through_an_alias(node):
    node.load("nf_conntrack")
    assert _kmod.state("ip_conntrack", root=str(node.root)) == "loaded"


def test_what_is_barred_is_not_there(node):
    node.put("etc/modprobe.d/a.conf", "install ip_vs_foo /bin/true for now\ninstall ip_vs_sed /sbin/modprobe --ignore-install ip_vs_sed\n")
    assert [_kmod.state(name, root=str(node.root)) for name in ("ip_vs_foo", "ip_vs_sed")] == ["missing", "loadable"]


def test_builtin_without_a_list_is_seen_in_sys(node):
    (node.root / "sys/module/ip_vs/parameters").mkdir(parents=True)
    assert _kmod.state("ip_vs", root=str(node.root)) == "builtin"


def test_builtin_by_modinfo_where_modules_builtin_is_absent(node):
    (node.root / f"lib/modules/{RUNNING}/modules.builtin").unlink()
    node.put(f"lib/modules/{RUNNING}/modules.builtin.modinfo", "ip_vs_mh.license=GPL\0ip_vs_mh.author=x\0ip-vs-nq.license=GPL\0")
    assert _kmod.state("ip_vs_mh", root=str(node.root)) == "builtin"


def test_another_kernel_is_judged_by_its_own_lists(node):
    node.kernel("6.1.0-1-cloud-amd64", loadable=[IPVS + "ip_vs_mh.ko"])
    node.load("ip_vs")
    assert _kmod.state("ip_vs_mh", "6.1.0-1-cloud-amd64", str(node.root)) == "loadable"
    assert _kmod.state("ip_vs", "6.1.0-1-cloud-amd64", str(node.root)) == "missing"
    assert _kmod.state("ip_vs", "6.1.0-2-amd64", str(node.root)) == "unknown"


def test_without_any_list_a_module_is_unknown_unless_it_is_loaded(tmp_path):
    node = Node(tmp_path)
    node.load("ip_vs")
    assert [_kmod.state(name, root=str(tmp_path)) for name in ("ip_vs", "ip_vs_rr")] == ["loaded", "unknown"]


@pytest.mark.parametrize(
    ("os_release", "release", "package"),
    [
        ("ID=debian", "6.1.0-50-cloud-amd64", "linux-image-"),
        ('ID=linuxmint\nID_LIKE="ubuntu debian"', "6.8.0-31-generic", "linux-modules-extra-6.8.0-31-generic"),
        ("ID=ubuntu\nID_LIKE=debian", "5.15.0-1045-kvm", "linux-image-virtual"),
        ("ID=ubuntu\nID_LIKE=debian", "6.8.0-1021-aws", "linux-modules-extra-6.8.0-1021-aws"),
        ('ID="amzn"\nID_LIKE="fedora"', "6.1.141-155.222.amzn2023.x86_64", "kernel-modules-extra-6.1.141-155.222.amzn2023.x86_64"),
        ('ID="amzn"\nID_LIKE="fedora"', "6.12.22-27.96.amzn2023.x86_64", "kernel6.12-modules-extra-6.12.22-27.96.amzn2023.x86_64"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.5"', "5.14.0-503.el9.x86_64", "kernel-modules-core-5.14.0-503.el9.x86_64"),
        ("ID=fedora\nVERSION_ID=41", "6.11.4-301.fc41.x86_64", "kernel-modules-core-6.11.4-301.fc41.x86_64"),
        ('ID="rhel"\nVERSION_ID="10.0"', "6.12.0-55.el10.x86_64", "kernel-modules-core-6.12.0-55.el10.x86_64"),
        ('ID="ol"\nID_LIKE="fedora"', "5.15.0-300.el9uek.x86_64", "kernel-uek-modules-5.15.0-300.el9uek.x86_64"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"', "6.4.0-150600.21-default", "kernel-default"),
        ("ID=nowhere", "6.0", "distribution's full kernel package"),
    ],
)
def test_missing_hint_names_kernel_module_and_package(tmp_path, os_release, release, package):
    node = Node(tmp_path)
    node.put("etc/os-release", os_release + "\n")
    node.kernel(release, loadable=["kernel/net/dummy.ko"])
    hint = _kmod.missing_hint("ip_vs_rr", release, str(tmp_path))
    assert hint.startswith(f"The kernel {release} has no module ip_vs_rr: ")
    assert package in hint


def test_missing_hint_after_an_upgrade_without_a_reboot(tmp_path):
    node = Node(tmp_path)
    node.kernel("6.99-new", loadable=[IPVS + "ip_vs.ko"])
    assert "6.99-new: reboot into" in _kmod.missing_hint("ip_vs", root=str(tmp_path))


def test_missing_hint_in_a_container(tmp_path):
    assert "in a container do this on its host" in _kmod.missing_hint("ip_vs", root=str(Node(tmp_path).root))


def test_missing_hint_for_a_kernel_without_loadable_modules(tmp_path):
    assert "built without loadable modules" in _kmod.missing_hint("ip_vs", root=str(tmp_path))


@pytest.mark.parametrize(
    ("part", "name", "words"),
    [
        ("scheduler", "wllc", "scheduler: 'wllc': there is no such scheduler; did you mean wlc? Linux has rr, wrr, "),
        ("scheduler", "WRR", "did you mean wrr? Linux has"),
        ("scheduler", "fastest", "there is no such scheduler. Linux has rr, wrr, lc, wlc, lblc, lblcr, dh, sh, sed, nq, fo, ovf, mh, twos. "),
        ("persistence_engine", "sipp", "there is no such persistence engine; did you mean sip? Linux has sip. Any other must be "),
        ("persistence_engine", "other", "must be installed as module ip_vs_pe_other"),
        ("scheduler", "mh", "scheduler: 'mh': this kernel does not have this scheduler: it has no module ip_vs_mh"),
        ("persistence_engine", "sip", "this kernel does not have this persistence engine: it has no module ip_vs_pe_sip"),
    ],
)
def test_a_mistyped_name_gets_those_that_exist_and_a_real_one_the_package(monkeypatch, part, name, words):
    monkeypatch.setattr(_kmod, "missing_hint", lambda module: "it has no module " + module)
    text = str(_kmod.lacking(part, name))
    assert words in text
    assert ("it has no module" in text) == (name in ("mh", "sip"))


def test_missing_hint_for_another_kernel_does_not_speak_of_the_running_one(tmp_path):
    Node(tmp_path).kernel("6.99-new", loadable=["kernel/net/dummy.ko"])
    (tmp_path / "proc/modules").unlink(missing_ok=True)
    assert _kmod.missing_hint("ip_vs", "6.99-new", str(tmp_path)).startswith("The kernel 6.99-new has no module ip_vs: ")


def test_a_kernel_that_cannot_unload_modules_counts_no_references(node):
    node.put("proc/modules", "ip_vs 1 - - Live 0x0\n")
    assert _kmod.Kernel(None, str(node.root)).loaded() == {"ip_vs": (0, ())}


def test_a_line_of_aliases_that_is_cut_short_is_passed_over(node):
    node.kernel("6.99-new", loadable=[IPVS + "ip_vs.ko"], aliases="alias other\nalias another ip_vs\n")
    assert _kmod.state("another", "6.99-new", str(node.root)) == "loadable" and _kmod.state("other", "6.99-new", str(node.root)) == "missing"


def test_the_first_os_release_that_says_anything_counts(node):
    node.put("etc/os-release", "ID=ubuntu\n")
    node.put("usr/lib/os-release", "ID=debian\nID_LIKE=x\n")
    assert _kmod._distribution.family(str(node.root)) == ["ubuntu"]
    node.put("etc/os-release", "")
    assert _kmod._distribution.family(str(node.root)) == ["debian", "x"]


def test_missing_hint_for_a_kernel_that_is_not_installed(tmp_path):
    Node(tmp_path).kernel("6.99-new", loadable=[IPVS + "ip_vs.ko"])
    assert _kmod.missing_hint("ip_vs", "6.98-gone", str(tmp_path)).endswith("/lib/modules has those of 6.99-new: name one of these")
