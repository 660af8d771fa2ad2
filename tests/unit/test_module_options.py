# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of kernel modules, and the modules that a list of services needs, on made-up file trees."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _module_options, _modules
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _module_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .module_node import IPVS, fake_programs, node_with_ipvs

BITS = {"ip_vs": {"conn_tab_bits": 18}}
PARAMETERS = "conn_tab_bits:Set connections' hash size (int)\nother:Another (bool)\n"


@pytest.fixture(autouse=True)
def programs(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("bin")
    fake_programs(folder, monkeypatch)
    (folder / "modinfo").write_text("")
    (folder / "modinfo").chmod(0o755)


@pytest.fixture
def node(tmp_path):
    node = node_with_ipvs(tmp_path)
    genuine = node.run_command
    node.run_command = lambda argv: (0, PARAMETERS, "") if argv[0].endswith("modinfo") else genuine(argv)
    node.settings = tmp_path / "etc/modprobe.d/ipvs.conf"
    return node


def twice(node, **options):
    foretold = node.task(check_mode=True, **options)
    done = node.task(**options)
    assert foretold == done
    again = node.task(**options)
    assert not again.changed and again.values["differences"] == [] and again.before == again.after
    return done


# the text


TEXT = """\
options ip-vs conn_tab_bits=12 other=1
# options ip_vs conn_tab_bits=9
options nf_conntrack hashsize="1 2"
blacklist x
options ip_vs \\
 conn-tab-bits=14
"""


def test_the_last_of_two_lines_counts():
    assert _module_options.options_in(TEXT) == {"ip_vs": {"conn_tab_bits": "14", "other": "1"}, "nf_conntrack": {"hashsize": "1 2"}}
    assert _module_options.options_in(None) == {}


def test_a_value_is_replaced_where_it_stands_and_no_other_line_changes():
    lines = TEXT.splitlines(True)
    assert _module_options.with_options(TEXT, {"ip_vs": {"conn_tab_bits": "18"}}) == "".join(["options ip-vs conn_tab_bits=18 other=1\n", *lines[1:4]])
    assert _module_options.with_options(TEXT, {"nf_conntrack": {"hashsize": "1 2"}}) is not None
    assert _module_options.with_options(TEXT, {"nf_conntrack": {"hashsize": "1 2"}}) == TEXT
    quoted = 'options nf_conntrack hashsize="12" acct=1\n'
    assert _module_options.with_options(quoted, {"nf_conntrack": {"acct": "0"}}) == quoted.replace("acct=1", "acct=0")
    assert _module_options.with_options("# mine", {"ip_vs": {"a": "1", "b": "x y"}}) == '# mine\noptions ip_vs a=1\noptions ip_vs b="x y"\n'


def test_options_are_taken_out_and_a_file_of_ours_goes():
    lines = TEXT.splitlines(True)
    assert _module_options.without_options(TEXT, {"ip_vs": {"conn_tab_bits": "1"}}) == "".join(["options ip-vs other=1\n", *lines[1:4]])
    made = _module_options.with_options(None, {"ip_vs": {"a": "1"}})
    assert made == _module_options.HEADER + "options ip_vs a=1\n"
    assert _module_options.without_options(made, {"ip_vs": {"a": "2"}}) is None
    assert _module_options.without_options(None, {"ip_vs": {"a": "2"}}) is None
    assert _module_options.without_options("options ip_vs a=1\n", {"ip_vs": {"a": "2"}}) == ""
    assert _module_options.with_options(None, {"ip_vs": {}}) is None
    assert _module_options.with_options("", {"ip_vs": {}}) == ""
    assert _module_options.with_options("", {"ip_vs": {"a": "1"}}) == "options ip_vs a=1\n"


# the task


def test_options_are_there_before_the_module_is_loaded(node):
    genuine, seen = node.run_command, []

    def run_command(argv):
        if argv[0].endswith("modprobe"):
            seen.append(node.settings.read_text())
        return genuine(argv)

    node.run_command = run_command
    done = twice(node, names=["ip_vs"], options=BITS)
    assert seen == [_module_options.HEADER + "options ip_vs conn_tab_bits=18\n"]
    assert done.values["differences"] == [
        "kernel module ip_vs is not loaded",
        "kernel module ip_vs is not loaded at boot",
        "option conn_tab_bits of kernel module ip_vs is not set",
    ]
    assert done.after.endswith("options ip_vs conn_tab_bits=18\n") and not node.warnings
    done = twice(node, options={"ip-vs": {"conn-tab-bits": "20"}})
    assert done.values["differences"] == ["option conn_tab_bits of kernel module ip_vs is set to 18, not 20"]
    done = twice(node, state="absent", options=BITS)
    assert done.values["differences"] == ["option conn_tab_bits of kernel module ip_vs is set to 20"] and not node.settings.exists()


def test_options_are_as_before_where_loading_fails(node):
    node.stubborn = {"ip_vs"}
    for text in (None, "options ip_vs conn_tab_bits=10\n"):
        if text:
            node.settings.write_text(text)
        with pytest.raises(IpvsError, match="not loaded"):
            node.task(names=["ip_vs"], options=BITS)
        assert (node.settings.read_text() if node.settings.exists() else None) == text


@pytest.mark.parametrize(
    "state, words", [("loaded", "ip_vs is loaded with conn_tab_bits=12; 18 holds when"), ("builtin", "ip_vs.conn_tab_bits=18 on the kernel's")]
)
def test_a_module_that_has_another_value_already(node, state, words):
    if state == "loaded":
        node.load("ip_vs")
    node.put("sys/module/ip_vs/parameters/conn_tab_bits", "12\n")
    for check in (True, False):
        node.warnings.clear()
        assert node.task(check_mode=check, options=BITS).changed
        assert len(node.warnings) == 1 and words in node.warnings[0]
    node.put("sys/module/ip_vs/parameters/conn_tab_bits", "18\n")
    node.warnings.clear()
    assert not node.task(options=BITS).changed and not node.warnings


def test_a_module_that_is_being_loaded_is_not_said_to_be_part_of_the_kernel(node):
    """It has its parameters already, and is not yet in /proc/modules."""
    node.put("sys/module/ip_vs/initstate", "coming\n")
    node.put("sys/module/ip_vs/parameters/conn_tab_bits", "12\n")
    assert node.task(options=BITS).changed
    assert [text.partition(";")[0] for text in node.warnings] == ["ip_vs is loaded with conn_tab_bits=12"]


def test_another_file_that_may_win(node):
    node.put("etc/modprobe.d/zz.conf", "options ip-vs conn_tab_bits=9 other=1\n")
    node.task(options=BITS)
    assert len(node.warnings) == 1 and "zz.conf sets conn_tab_bits of ip-vs to 9, and may win over 18" in node.warnings[0]


@pytest.mark.parametrize(
    "options, text",
    [
        ({"ip_vs": {"conn_tab_bit": 18}}, "conn_tab_bit: '18': this module has no such option; did you mean conn_tab_bits? It has conn_tab_bits,"),
        ({"ip_vs": {"zzz": 1}}, "this module has no such option. It has conn_tab_bits, other"),
        ({"ip_vs": {"conn_tab_bits": 7}}, "options.ip_vs.conn_tab_bits: 7: give a number from 8 to 27"),
        ({"ip_vs": {"conn_tab_bits": "many"}}, "give a number from 8 to 27"),
        ({"ip_vs": {"other": "a\nb"}}, "a text on one line"),
        ({"ip_vs": {"other": 'a"b'}}, "a text on one line without quotes"),
        ({"ip_vs": {"other": None}}, "options.ip_vs.other: None"),
        ({"ip_vs": {"a b": 1}}, "give the name of an option"),
        ({"ip_vs": 18}, "options.ip_vs: 18: give the options of this module with their values"),
        ({"ip vs": {"a": 1}}, "give the name of a kernel module"),
    ],
)
def test_mistakes(node, options, text):
    for check in (True, False):
        with pytest.raises(OptionError) as error:
            node.task(check_mode=check, names=["ip_vs"], options=options)
        assert text in str(error.value)
    assert not node.runs and not node.settings.exists()


def test_a_module_that_the_kernel_lacks(node):
    with pytest.raises(IpvsError, match=r"options.ip_vss: The kernel .* has no module ip_vss: .*Nothing was changed"):
        node.task(options={"ip_vss": {"a": 1}})


@pytest.mark.parametrize("path, words", [("ipvs.conf", "full path"), ("/nowhere/ipvs.conf", "no directory /nowhere")])
def test_a_bad_path_of_options(node, path, words):
    with pytest.raises(OptionError, match=f"options_path: .*{words}"):
        node.task(names=["ip_vs"], options=BITS, options_path=path)
    assert not node.runs


def test_nobody_says_which_options_there_are(node):
    node.run_command = lambda argv: (1, "", "modinfo: ERROR")
    assert node.task(check_mode=True, options={"ip_vs": {"anything": 1}}).changed


# services


SIP = {"address": "203.0.113.80", "port": 5060, "protocol": "udp", "scheduler": "rr", "persistence_timeout": 60, "persistence_engine": "sip"}


def test_what_services_need():
    services = [SIP, dict(SIP, port=5061), {"fwmark": 7}, {"fwmark": 8, "scheduler": "none"}, {"fwmark": 9, "scheduler": "my-own"}]
    assert _module_tasks.needs(services) == [
        _modules.Desired("services", ("ip_vs",)),
        _modules.Desired("services", ("nf_conntrack", "nf_conntrack_ipv4")),
        _modules.Desired("services[0].scheduler", ("ip_vs_rr",), "scheduler"),
        _modules.Desired("services[0].persistence_engine", ("ip_vs_pe_sip",), "persistence_engine"),
        _modules.Desired("services[2].scheduler", ("ip_vs_wlc",), "scheduler"),
        _modules.Desired("services[4].scheduler", ("ip_vs_my_own",), "scheduler"),
    ]
    assert len(_module_tasks.needs([])) == 2
    with pytest.raises(OptionError, match=r"services\[1\].address: .*twice"):
        _module_tasks.needs([SIP, SIP])


@pytest.mark.parametrize(
    "services, text",
    [
        ([dict(SIP, scheduler="wrrr")], r"services\[0\].scheduler: 'wrrr': there is no such scheduler; did you mean wrr\?"),
        ([dict(SIP, persistence_engine="sipp")], r"services\[0\].persistence_engine: 'sipp': there is no such persistence engine; did you mean sip\?"),
        ([{"fwmark": 7, "scheduler": "rr"}, {"fwmark": 8, "scheduler": "mh"}], r"services\[1\].scheduler: The kernel .* has no module ip_vs_mh"),
    ],
)
def test_a_service_that_needs_what_is_not_there(node, services, text):
    node.kernel(loadable=[IPVS + name for name in ("ip_vs.ko", "ip_vs_rr.ko", "ip_vs_wrr.ko")] + ["kernel/net/netfilter/nf_conntrack.ko"])
    with pytest.raises(IpvsError, match=text):
        node.task(task=_module_tasks.manage_modules, services=services)
    assert not node.runs


def test_a_link_is_written_through_and_what_others_wrote_stays(node):
    kept = node.root / "kept.conf"
    kept.write_text("options ip_vs conn_tab_bits=18\noptions other a=1\n")
    node.settings.symlink_to("../../kept.conf")
    node.task(state="absent", options=BITS, load=False, persist=False)
    assert kept.read_text() == "options other a=1\n" and node.settings.is_symlink()


def test_a_link_to_nothing_is_not_written_through_for_nothing(node):
    node.settings.symlink_to("../../kept.conf")
    assert not node.task(state="absent", options=BITS, load=False, persist=False).changed
    assert not (node.root / "kept.conf").exists()


def test_a_link_to_what_is_ours_alone_leads_to_no_options(node):
    kept = node.root / "kept.conf"
    kept.write_text(_module_options.HEADER + "options ip_vs conn_tab_bits=18\n")
    node.settings.symlink_to("../../kept.conf")
    for changed in (True, False):
        assert node.task(state="absent", options=BITS, load=False, persist=False).changed == changed
        assert kept.read_text() == _module_options.HEADER and node.settings.is_symlink()


def test_what_our_own_file_said_before_does_not_win(node):
    node.settings.write_text("options ip_vs conn_tab_bits=9\n")
    node.put("etc/modprobe.d/zz.conf", "install ip_vs conn_tab_bits=9\n")
    node.task(options=BITS)
    assert node.warnings == []


def test_the_running_kernel_says_nothing_of_the_options_of_another(node):
    node.kernel("6.99-image", loadable=[IPVS + "ip_vs.ko"])
    node.put("sys/module/ip_vs/parameters/odd", "1\n")
    with pytest.raises(OptionError, match="this module has no such option"):
        node.task(names=["ip_vs"], options={"ip_vs": {"odd": 1}}, kernel="6.99-image", load=False)


def test_without_modinfo_any_option_may_be_there(node, monkeypatch):
    find = _module_options._programs.find
    monkeypatch.setattr(_module_options._programs, "find", lambda name: None if name == "modinfo" else find(name))
    assert node.task(names=["ip_vs"], options={"ip_vs": {"zzz": 1}}).changed and "zzz=1" in node.settings.read_text()
