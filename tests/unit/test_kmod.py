# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel modules on made-up file trees: no module is loaded here, the fake modprobe writes into the tree's /proc/modules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

RUNNING = os.uname().release
IPVS = "kernel/net/netfilter/ipvs/"


class Node:
    """A file tree, with what ``run_command`` and ``write_file`` do in it. ``stubborn``: modules that modprobe does not load."""

    def __init__(self, root: Path):
        self.root = root
        self.warnings: list[str] = []
        self.runs: list[list[str]] = []
        self.stubborn: set[str] = set()
        self.result = (0, "", "")
        self.path = root / "etc/modules-load.d/ipvs.conf"
        self.put("etc/modules-load.d/.keep", "")
        self.put("proc/modules", "ipv6 429085 11 [permanent], Live 0x0\n")

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def kernel(self, release: str = RUNNING, loadable=(), builtin=(), aliases="") -> None:
        """Make the lists that depmod leaves for a kernel."""
        self.put(f"lib/modules/{release}/modules.dep", "".join(f"{path}: kernel/lib/libcrc32c.ko\n" for path in loadable))
        self.put(f"lib/modules/{release}/modules.builtin", "".join(f"{path}\n" for path in builtin))
        self.put(f"lib/modules/{release}/modules.alias", aliases)

    def load(self, name: str, references: int = 0, holders: str = "-") -> None:
        modules = self.root / "proc/modules"
        modules.write_text(modules.read_text() + f"{name} 2029 {references} {holders} Live 0x0\n")
        self.put(f"sys/module/{name}/initstate", "live\n")

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        self.runs.append([Path(argv[0]).name, *argv[1:]])
        if self.result[0] == 0:
            for name in argv[2:]:
                if name not in self.stubborn:
                    self.load(name)
        return self.result

    def task(self, check_mode: bool = False, **options):
        defaults = {"names": None, "schedulers": None, "state": "present", "load": True, "persist": True, "path": str(self.path), "kernel": None}
        context = Context(check_mode, True, self.warnings.append, self.run_command, lambda path, text: Path(path).write_text(text))
        return _kmod.ensure_modules({**defaults, **options}, context, str(self.root))


@pytest.fixture(autouse=True)
def programs(tmp_path_factory, monkeypatch):
    """modprobe and rmmod are found, whatever this machine has; they are never run."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("modprobe", "rmmod"):
        (folder / name).write_text("#!/bin/false\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    node.kernel(
        loadable=[IPVS + "ip_vs.ko", IPVS + "ip_vs_rr.ko.xz", IPVS + "ip_vs_wrr.ko.zst", IPVS + "ip-vs-odd.ko.gz", "kernel/net/netfilter/nf_conntrack.ko"],
        builtin=["kernel/net/ipv4/tunnel4.ko"],
        aliases="# Aliases extracted from modules themselves.\nalias ip_conntrack nf_conntrack\nalias pci:v00008086d* e1000\n",
    )
    return node


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
        ("libcrc32c", "missing"),
    ],
)
def test_state(node, name, expected):
    assert _kmod.state(name, root=str(node.root)) == expected


def test_what_is_loaded_now_is_seen_through_an_alias(node):
    node.load("nf_conntrack")
    assert _kmod.state("ip_conntrack", root=str(node.root)) == "loaded"


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
        ('ID="amzn"\nID_LIKE="fedora"', "6.1.141-155.222.amzn2023.x86_64", "kernel-modules-extra"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.5"', "5.14.0-503.el9.x86_64", "kernel-modules-core-5.14.0-503.el9.x86_64"),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"', "4.18.0-553.el8.x86_64", "kernel-core-4.18.0-553.el8.x86_64"),
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


# The listing in modules-load.d


def test_a_new_listing_has_a_header_and_goes_away_again():
    text = _kmod.with_modules(None, ["ip_vs", "ip_vs_rr"], {})
    assert text == _kmod.HEADER + "ip_vs\nip_vs_rr\n"
    assert _kmod.without_modules(text, ["ip_vs"]) == _kmod.HEADER + "ip_vs_rr\n"
    assert _kmod.without_modules(text, ["ip_vs", "ip_vs_rr"]) is None


def test_what_others_wrote_stays():
    text = "# ours\n; old style\n\nip-vs-rr\nbonding"
    assert _kmod.with_modules(text, ["ip_vs_rr"], {}) is text
    assert _kmod.with_modules(text, ["ip_vs_rr", "ip_vs"], {}) == text + "\nip_vs\n"
    assert _kmod.without_modules(text, ["ip_vs_rr"]) == "# ours\n; old style\n\nbonding\n"
    assert _kmod.without_modules(text, ["ip_vs_mh"]) is text
    assert _kmod.without_modules("ip_vs\n", ["ip_vs"]) == ""


def test_an_outdated_alternative_is_replaced_where_it_stands():
    outdated = {"nf_conntrack_ipv4": "nf_conntrack"}
    assert _kmod.with_modules("nf_conntrack_ipv4\nip_vs\n", ["nf_conntrack"], outdated) == "nf_conntrack\nip_vs\n"
    assert _kmod.with_modules("nf_conntrack\nnf_conntrack_ipv4\n", ["nf_conntrack"], outdated) == "nf_conntrack\n"


# The task


def test_load_and_list(node):
    checked = node.task(check_mode=True, names=["ip-vs", ["nf_conntrack_ipv4", "nf_conntrack"], "tunnel4"], schedulers=["rr"])
    assert not node.runs
    assert not node.path.exists()
    answer = node.task(names=["ip-vs", ["nf_conntrack_ipv4", "nf_conntrack"], "tunnel4"], schedulers=["rr"])
    assert answer == checked
    assert answer.changed
    assert node.runs == [["modprobe", "-a", "ip_vs", "nf_conntrack", "ip_vs_rr"]]
    assert answer.values["commands"] == ["modprobe -a ip_vs nf_conntrack ip_vs_rr"]
    assert answer.values["loaded"] == ["ip_vs", "nf_conntrack", "ip_vs_rr"]
    assert answer.values["modules"] == [
        {"name": "ip_vs", "state": "loaded", "persistent": True},
        {"name": "nf_conntrack", "state": "loaded", "persistent": True},
        {"name": "tunnel4", "state": "builtin", "persistent": True},
        {"name": "ip_vs_rr", "state": "loaded", "persistent": True},
    ]
    assert node.path.read_text() == _kmod.HEADER + "ip_vs\nnf_conntrack\ntunnel4\nip_vs_rr\n"
    assert answer.before == f"ip_vs: loadable\nnf_conntrack: loadable\ntunnel4: builtin\nip_vs_rr: loadable\n# {node.path}\n"
    assert answer.after.startswith("ip_vs: loaded\n")
    assert answer.after.endswith("tunnel4\nip_vs_rr\n")

    again = node.task(names=["ip-vs", ["nf_conntrack_ipv4", "nf_conntrack"], "tunnel4"], schedulers=["rr"])
    assert not again.changed
    assert again.values["modules"] == answer.values["modules"]
    assert again.before == again.after == answer.after
    assert len(node.runs) == 1
    assert not node.warnings


def test_neither_load_nor_persist_only_checks(node):
    answer = node.task(schedulers=["rr"], load=False, persist=False)
    assert (answer.changed, node.runs, node.path.exists()) == (False, [], False)
    assert answer.values["modules"] == [{"name": "ip_vs_rr", "state": "loadable", "persistent": False}]


def test_a_missing_module_stops_everything(node):
    node.put("etc/os-release", "ID=ubuntu\n")
    with pytest.raises(IpvsError, match=r"names\[1\], schedulers\[0\]: The kernel .* has no modules ip_vs_foo, ip_vs_mh: .*linux-modules-extra") as error:
        node.task(names=["ip_vs", "ip_vs_foo"], schedulers=["mh"])
    assert error.value.details == {"missing": ["ip_vs_foo", "ip_vs_mh"]}
    assert not node.runs
    assert not node.path.exists()


def test_no_alternative_is_there(node):
    with pytest.raises(IpvsError, match="has no module foo or bar: "):
        node.task(names=[["foo", "bar"]])


def test_a_scheduler_that_never_was(node):
    with pytest.raises(OptionError, match=r"schedulers\[1\]: 'wrrr': there is no such scheduler; did you mean wrr\? Linux has rr, wrr"):
        node.task(schedulers=["rr", "wrrr"])


def test_a_scheduler_from_elsewhere_is_taken_where_modprobe_finds_it(node):
    node.put("etc/modprobe.d/ours.conf", "alias ip_vs_ours ip-vs-odd\nalias ip-vs-off off\ninstall ip_vs_built /sbin/insmod /opt/built.ko\n")
    node.put("usr/lib/modprobe.d/cis.conf", "install ip_vs_barred /bin/false\n")
    states = {name: _kmod.state("ip_vs_" + name, root=str(node.root)) for name in ("ours", "off", "built", "barred", "odd")}
    assert states == {"ours": "loadable", "off": "missing", "built": "loadable", "barred": "missing", "odd": "loadable"}
    assert node.task(schedulers=["ours"]).values["loaded"] == ["ip_vs_ours"]


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


@pytest.mark.parametrize("name", ["ip_vs_rr.ko", "ip vs", "", 7, None, []])
def test_a_bad_name(node, name):
    with pytest.raises(OptionError, match=r"names\[0\]"):
        node.task(names=[name])


@pytest.mark.parametrize(
    ("path", "remedy"), [("ipvs.conf", "full path"), ("/etc/modules-load.d/ipvs", "ends in .conf"), ("/nowhere/ipvs.conf", "no directory")]
)
def test_a_bad_path(node, path, remedy):
    with pytest.raises(OptionError, match=remedy):
        node.task(names=["ip_vs"], path=path)
    assert not node.runs


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    ("target", "remedy"),
    [
        ("/dev/null", "is a symbolic link to /dev/null, which is not a regular file: remove the link, or use another path"),
        ("/nowhere/ipvs.conf", "no directory /nowhere"),
        (".", "can't be read: Is a directory"),
        ("ipvs.conf", "can't be read: Too many levels of symbolic links"),
    ],
)
def test_a_link_that_cannot_be_written_through(node, target, remedy, check_mode):
    """A list that can't be read isn't an empty one: what it holds would be lost."""
    node.path.symlink_to(target)
    with pytest.raises(OptionError, match=f"path: .*{remedy}"):
        node.task(check_mode, names=["ip_vs"])
    assert not node.runs
    assert os.readlink(node.path) == target


def test_a_link_is_written_through_and_stays(node):
    kept = node.root / "kept.conf"
    node.path.symlink_to("../../kept.conf")
    assert not node.task(names=["ip_vs"], load=False, state="absent").changed
    assert node.task(names=["ip_vs"], load=False).changed
    assert kept.read_text() == _kmod.HEADER + "ip_vs\n"
    assert not node.task(names=["ip_vs"], load=False).changed
    # what the link leads to isn't ours to remove
    for changed in (True, False):
        answer = node.task(names=["ip_vs"], load=False, state="absent")
        assert answer.changed == changed
        assert kept.read_text() == _kmod.HEADER
    assert node.path.is_symlink()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_list_that_is_no_file(node, kind):
    node.path.mkdir() if kind == "folder" else os.mkfifo(node.path)
    for check_mode in (True, False):
        with pytest.raises(OptionError, match="can't be read: Is a directory" if kind == "folder" else "is not a regular file"):
            node.task(check_mode, names=["ip_vs"])
    assert not node.runs


def test_another_kernel_cannot_be_loaded_from(node):
    node.kernel("6.99-image", loadable=[IPVS + "ip_vs.ko"])
    with pytest.raises(OptionError, match="set load: false"):
        node.task(names=["ip_vs"], kernel="6.99-image")
    with pytest.raises(OptionError, match=f"installed kernels: {RUNNING}, 6.99-image|installed kernels: 6.99-image, {RUNNING}"):
        node.task(names=["ip_vs"], kernel="6.98", load=False)
    answer = node.task(names=["ip_vs"], kernel="6.99-image", load=False)
    assert answer.values["modules"] == [{"name": "ip_vs", "state": "loadable", "persistent": True}]
    assert not node.runs


def test_an_unknown_module_is_tried(tmp_path):
    node = Node(tmp_path)
    assert node.task(check_mode=True, names=[["ip_vs", "ip_vs_old"]]).values["loaded"] == ["ip_vs"]
    assert "in a container" in node.warnings[0]
    assert node.task(names=["ip_vs"], load=False).values["modules"] == [{"name": "ip_vs", "state": "unknown", "persistent": True}]
    assert "set kernel to the one that it boots" in node.warnings[1]
    node.result = (1, "", "modprobe: FATAL: Module ip_vs not found")
    with pytest.raises(IpvsError, match="Module ip_vs not found. The kernel .* in a container do this on its host"):
        node.task(names=["ip_vs"])
    node.result = (0, "", "")
    assert node.task(names=[["ip_vs", "ip_vs_old"]]).values["loaded"] == ["ip_vs"]
    assert len(node.warnings) == 2


def test_modprobe_fails(node):
    node.result = (1, "", "modprobe: ERROR: could not insert 'ip_vs': Operation not permitted\n")
    with pytest.raises(IpvsError, match="modprobe -a ip_vs failed: .*could not insert 'ip_vs': Operation not permitted. This needs root: use become"):
        node.task(names=["ip_vs"])
    assert not node.path.exists()


def test_modprobe_lies(node):
    node.stubborn = {"ip_vs_rr"}
    with pytest.raises(IpvsError, match="reported success, yet ip_vs_rr is not loaded: look at") as error:
        node.task(names=["ip_vs", "ip_vs_rr"])
    assert error.value.details == {"not_loaded": ["ip_vs_rr"]}
    node.put("usr/lib/modprobe.d/cis.conf", "install ip-vs-rr /bin/true\n")
    with pytest.raises(IpvsError, match=r"forbidden by ip_vs_rr \(install line in .*usr/lib/modprobe.d/cis.conf\)"):
        node.task(names=["ip_vs_rr"])
    assert not node.path.exists()


def test_no_modprobe(node, monkeypatch):
    monkeypatch.setattr(_kmod.shutil, "which", lambda name, path: None)
    with pytest.raises(IpvsError, match="modprobe is not on this node: install kmod"):
        node.task(names=["ip_vs"])


def test_a_blacklisted_module_is_not_loaded_at_boot(node):
    node.put("usr/lib/modprobe.d/extra.conf", "blacklist ip_vs\nblacklist ip_vs_rr\n")
    node.put("etc/modprobe.d/extra.conf", "# blacklist ip_vs\nblacklist ip_vs_rr\n")
    node.task(names=["ip_vs", "ip_vs_rr"])
    assert [warning.split()[0] for warning in node.warnings] == ["ip_vs_rr"]


def test_absent(node):
    node.task(names=["ip_vs", "ip_vs_rr"])
    node.put("proc/modules", "ip_vs 1 2 ip_vs_rr, Live 0x0\nip_vs_rr 1 0 - Live 0x0\nnf_conntrack 1 1 ip_vs, Live 0x0\n")
    checked = node.task(check_mode=True, names=["ip_vs", "ip_vs_rr", "tunnel4", "foo"], state="absent")
    assert node.path.exists()
    assert len(node.runs) == 1
    answer = node.task(names=["ip_vs", "ip_vs_rr", "tunnel4", "foo"], state="absent")
    assert answer == checked
    assert node.runs[1:] == [["rmmod", "ip_vs_rr", "ip_vs"]]
    assert [module["state"] for module in answer.values["modules"]] == ["loadable", "loadable", "builtin", "missing"]
    assert answer.values["unloaded"] == ["ip_vs_rr", "ip_vs"]
    assert not node.path.exists()
    node.put("proc/modules", "")
    assert not node.task(names=["ip_vs", "ip_vs_rr", "tunnel4", "foo"], state="absent").changed


@pytest.mark.parametrize(
    ("line", "user"), [("ip_vs 1 2 ip_vs_rr,ip_vs_wrr, Live 0x0", "the modules ip_vs_rr, ip_vs_wrr"), ("ip_vs 1 1 - Live 0x0", "the kernel")]
)
def test_a_module_in_use_is_an_error(node, line, user):
    node.put("proc/modules", line + "\n")
    with pytest.raises(IpvsError, match=f"In use: ip_vs by {user}.*Nothing was changed"):
        node.task(names=["ip_vs"], state="absent")
    assert not node.runs


def test_absent_without_unloading(node):
    node.path.write_text("# ours\nip_vs\nbonding\n")
    node.load("ip_vs", 3)
    answer = node.task(names=["ip_vs"], state="absent", load=False)
    assert answer.values["modules"] == [{"name": "ip_vs", "state": "loaded", "persistent": False}]
    assert node.path.read_text() == "# ours\nbonding\n"
    assert not node.runs
