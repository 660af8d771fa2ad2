# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_modules on made-up file trees."""

from __future__ import annotations

import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod, _modules, _modules_load
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .module_node import IPVS, RUNNING, Node, fake_programs, node_with_ipvs


@pytest.fixture(autouse=True)
def programs(tmp_path_factory, monkeypatch):
    fake_programs(tmp_path_factory.mktemp("bin"), monkeypatch)


@pytest.fixture
def node(tmp_path):
    return node_with_ipvs(tmp_path)


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
    assert node.path.read_text() == _modules_load.HEADER + "ip_vs\nnf_conntrack\ntunnel4\nip_vs_rr\n"
    assert answer.before == f"ip_vs: loadable\nnf_conntrack: loadable\ntunnel4: builtin\nip_vs_rr: loadable\n# {node.path}\n"
    assert answer.after.startswith("ip_vs: loaded\n")
    assert answer.after.endswith("tunnel4\nip_vs_rr\n")

    again = node.task(names=["ip-vs", ["nf_conntrack_ipv4", "nf_conntrack"], "tunnel4"], schedulers=["rr"])
    assert not again.changed
    assert again.values["modules"] == answer.values["modules"]
    assert again.before == again.after == answer.after
    assert len(node.runs) == 1
    assert not node.warnings


def test_what_this_kernel_lacks_gives_its_place_in_the_file_to_what_it_has(node):
    """After an upgrade of the kernel; what the file says of other modules stays."""
    node.path.write_text("# mine\nnf_conntrack_ipv4\ntunnel4\n")
    node.task(names=[["nf_conntrack_ipv4", "nf_conntrack"]])
    assert node.path.read_text() == "# mine\nnf_conntrack\ntunnel4\n"


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


def test_a_missing_module_is_named_once(node):
    with pytest.raises(IpvsError, match=r"names\[0\], schedulers\[0\], schedulers\[1\]: The kernel \S+ has no module ip_vs_mh: ") as error:
        node.task(names=["ip_vs_mh"], schedulers=["mh", "mh"])
    assert error.value.details == {"missing": ["ip_vs_mh"]}


def test_no_alternative_is_there(node):
    with pytest.raises(IpvsError, match="has no module foo or bar: "):
        node.task(names=[["foo", "bar"]])


def test_a_scheduler_that_never_was(node):
    with pytest.raises(OptionError, match=r"schedulers\[1\]: 'wrrr': there is no such scheduler; did you mean wrr\? Linux has rr, wrr"):
        node.task(schedulers=["rr", "wrrr"])
    with pytest.raises(OptionError, match=r"schedulers\[1\]: 'r r': give the name of a scheduler, such as rr"):
        node.task(schedulers=["rr", "r r"])


def test_a_scheduler_from_elsewhere_is_taken_where_modprobe_finds_it(node):
    node.put("etc/modprobe.d/ours.conf", "alias ip_vs_ours ip-vs-odd\nalias ip-vs-off off\ninstall ip_vs_built /sbin/insmod /opt/built.ko\n")
    node.put("usr/lib/modprobe.d/cis.conf", "install\n\ninstall ip_vs_barred /bin/false\n")
    states = {name: _kmod.state("ip_vs_" + name, root=str(node.root)) for name in ("ours", "off", "built", "barred", "odd")}
    assert states == {"ours": "loadable", "off": "missing", "built": "loadable", "barred": "missing", "odd": "loadable"}
    assert node.task(schedulers=["ours"]).values["loaded"] == ["ip_vs_ours"]


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
    assert kept.read_text() == _modules_load.HEADER + "ip_vs\n"
    assert not node.task(names=["ip_vs"], load=False).changed
    # what the link leads to isn't ours to remove
    for changed in (True, False):
        answer = node.task(names=["ip_vs"], load=False, state="absent")
        assert answer.changed == changed
        assert kept.read_text() == _modules_load.HEADER
    assert node.path.is_symlink()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_a_list_that_is_no_file(node, kind):
    node.path.mkdir() if kind == "folder" else os.mkfifo(node.path)
    for check_mode in (True, False):
        with pytest.raises(OptionError, match="can't be read: Is a directory" if kind == "folder" else "is not a regular file"):
            node.task(check_mode, names=["ip_vs"])
    assert not node.runs


def test_a_module_in_two_spellings_is_one(node):
    assert [each["name"] for each in node.task(names=["ip_vs", "ip-vs"]).values["modules"]] == ["ip_vs"]


def test_another_kernel_cannot_be_loaded_from(node, tmp_path_factory):
    node.kernel("6.99-image", loadable=[IPVS + "ip_vs.ko"])
    with pytest.raises(OptionError, match="set load: false"):
        node.task(names=["ip_vs"], kernel="6.99-image")
    with pytest.raises(OptionError, match=f"installed kernels: {RUNNING}, 6.99-image|installed kernels: 6.99-image, {RUNNING}"):
        node.task(names=["ip_vs"], kernel="6.98", load=False)
    with pytest.raises(OptionError, match="installed kernels: none$"):
        Node(tmp_path_factory.mktemp("bare")).task(names=["ip_vs"], kernel="6.98", load=False)
    answer = node.task(names=["ip_vs"], kernel="6.99-image", load=False)
    assert answer.values["modules"] == [{"name": "ip_vs", "state": "loadable", "persistent": True}]
    assert not node.runs


def test_an_unknown_module_is_tried(tmp_path):
    node = Node(tmp_path)
    assert node.task(check_mode=True, names=[["ip_vs", "ip_vs_old"]]).values["loaded"] == ["ip_vs"]
    assert "in a container" in node.warnings[0] and "image build" not in node.warnings[0]
    assert node.task(names=["ip_vs"], load=False).values["modules"] == [{"name": "ip_vs", "state": "unknown", "persistent": True}]
    assert "set kernel to the one that the image boots" in node.warnings[1]
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
    node.stubborn = {"ip_vs_rr", "ip_vs_wrr"}
    with pytest.raises(IpvsError, match="reported success, yet ip_vs_rr, ip_vs_wrr are not loaded: look at"):
        node.task(names=["ip_vs_rr", "ip_vs_wrr"])
    node.put("usr/lib/modprobe.d/cis.conf", "install ip-vs-rr /bin/true\n")
    with pytest.raises(IpvsError, match=r"forbidden by ip_vs_rr \(install line in .*usr/lib/modprobe.d/cis.conf\)"):
        node.task(names=["ip_vs_rr"])
    assert not node.path.exists()


def test_no_modprobe(node, monkeypatch):
    monkeypatch.setattr(_modules._programs, "find", lambda name: None)
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


def test_other_tasks_leave_out_the_options_of_modules(node):
    """As ipvs_real_server does, which loads what it needs by the same function."""
    options = {"names": ["ip_vs"], "schedulers": None, "state": "present", "load": True, "persist": False, "path": str(node.path), "kernel": None}
    assert _modules.ensure_modules(options, node.context(), str(node.root)).values["loaded"] == ["ip_vs"]


def test_nothing_is_removed_from_the_list_for_a_kernel_that_is_not_there(node):
    answer = node.task(names=["ip_vs"], kernel="6.98", load=False, state="absent")
    assert not answer.changed and [each["name"] for each in answer.values["modules"]] == ["ip_vs"]


def test_modprobe_that_says_nothing(node):
    node.result = (3, "", " ")
    with pytest.raises(IpvsError, match="modprobe .*failed: exit status 3"):
        node.task(names=["ip_vs"])
