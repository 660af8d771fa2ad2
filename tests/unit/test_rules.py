# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule language: what is written is read back the same, and what is not right is refused at its word."""

from __future__ import annotations

import copy

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.filter.from_ipvsadm import FilterModule as FromIpvsadm
from ansible_collections.lvs.ipvs.plugins.filter.to_ipvsadm import FilterModule as ToIpvsadm
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules, _rules_reader, _rules_words
from ansible_collections.lvs.ipvs.plugins.module_utils._table._literals import IPV4, IPV6
from ansible_collections.lvs.ipvs.plugins.module_utils._table._model import Entry, Server, ServerId, Service, ServiceId
from ansible_collections.lvs.ipvs.plugins.module_utils._table._settings import Daemon, Timeouts
from tests import rule_tables
from tests.rule_tables import MARKED, OURS_ALONE, REFUSED, REFUSED_BY_US_ALONE, SAME, SERVER, TCP


@pytest.fixture(scope="module", autouse=True)
def services_database():
    """The names of ports that the tests use, whatever this machine has in /etc/services."""

    def getservbyname(name, protocol):
        if (name, protocol) != ("http", "tcp"):
            raise OSError("service/proto not found")
        return 80

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_rules.socket, "getservbyname", getservbyname)
        yield


from_ipvsadm = FromIpvsadm().filters()["from_ipvsadm"]
to_ipvsadm = ToIpvsadm().filters()["to_ipvsadm"]

WEB = ServiceId(IPV4, 6, "198.51.100.1", 80, 0)
MARK6 = ServiceId(IPV6, 0, "", 0, 2**32 - 1)
LONG_NAMES = {
    "-A": "--add-service",
    "-a": "--add-server",
    "-t": "--tcp-service",
    "-u": "--udp-service",
    "-f": "--fwmark-service",
    "-6": "--ipv6",
    "-s": "--scheduler",
    "-p": "--persistent",
    "-M": "--netmask",
    "-b": "--sched-flags",
    "-o": "--ops",
    "-r": "--real-server",
    "-m": "--masquerading",
    "-g": "--gatewaying",
    "-i": "--ipip",
    "-w": "--weight",
    "-x": "--u-threshold",
    "-y": "--l-threshold",
}


def service(ident=WEB, **fields):
    return _model.overlay_service(Service(ident, **fields))


def server(address="198.51.100.11", port=80, **fields):
    return _model.overlay_server(Server(ServerId(address, port), **fields))


# ---------------------------------------------------------------------------------------------------------------------
# writing


@pytest.mark.parametrize(
    "whole, words",
    [
        (service(), "-t 198.51.100.1:80 -s wlc"),
        (service(persistence_timeout=360), "-t 198.51.100.1:80 -s wlc -p 360"),
        (service(persistence_timeout=9, persistence_netmask="24"), "-t 198.51.100.1:80 -s wlc -p 9 -M 255.255.255.0"),
        (service(persistence_timeout=9, persistence_netmask="255.0.255.0"), "-t 198.51.100.1:80 -s wlc -p 9 -M 255.0.255.0"),
        (service(MARK6, persistence_timeout=9, persistence_netmask="64"), "-f 4294967295 -6 -s wlc -p 9 -M 64"),
        (service(persistence_engine="sip"), "-t 198.51.100.1:80 -s wlc --pe sip"),
        (service(scheduler="sh", scheduler_flags=("fallback", "port", "flag_3")), "-t 198.51.100.1:80 -s sh -b sh-fallback,sh-port,flag-3"),
        (service(scheduler="mh", scheduler_flags=("port",)), "-t 198.51.100.1:80 -s mh -b mh-port"),
        (service(scheduler="rr", scheduler_flags=("fallback", "port", "flag_3")), "-t 198.51.100.1:80 -s rr -b flag-1,flag-2,flag-3"),
        (service(ServiceId(IPV6, 17, "2001:db8::1", 53, 0), one_packet=True), "-u [2001:db8::1]:53 -s wlc -o"),
        (service(ServiceId(IPV4, 132, "198.51.100.1", 80, 0)), "--sctp-service 198.51.100.1:80 -s wlc"),
        (service(ServiceId(IPV4, 51, "198.51.100.1", 80, 0)), "--xxx-service 198.51.100.1:80 -s wlc"),
        (service(ServiceId(IPV4, 0, "", 0, 7)), "-f 7 -s wlc"),
    ],
)
def test_render_service(whole, words):
    assert _rules.render_service(whole) == words


@pytest.mark.parametrize(
    "whole, words",
    [
        (server(), "-r 198.51.100.11:80 -g -w 1"),
        (server("2001:db8::5", 0, forward_method="nat", weight=0), "-r [2001:db8::5]:0 -m -w 0"),
        (server(forward_method="local"), "-r 198.51.100.11:80 -g -w 1"),
        (server(upper_threshold=100, lower_threshold=80), "-r 198.51.100.11:80 -g -w 1 -x 100 -y 80"),
        (server(upper_threshold=100), "-r 198.51.100.11:80 -g -w 1 -x 100"),
        (server(forward_method="4"), "-r 198.51.100.11:80 --forward-method=4 -w 1"),
        (server(forward_method="tun"), "-r 198.51.100.11:80 -i -w 1 --tun-type ipip"),
        (server(forward_method="tun", tunnel_type="gre", tunnel_checksum="3"), "-r 198.51.100.11:80 -i -w 1 --tun-type gre --tun-flags=3"),
        (server(forward_method="tun", tunnel_type="gre"), "-r 198.51.100.11:80 -i -w 1 --tun-type gre --tun-nocsum"),
        (
            server(forward_method="tun", tunnel_type="gue", tunnel_port=6080, tunnel_checksum="remcsum"),
            "-r 198.51.100.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        ),
    ],
)
def test_render_server(whole, words):
    assert _rules.render_server(WEB, whole) == "-t 198.51.100.1:80 " + words


def test_render_table_is_sorted_by_number():
    servers = [server("198.51.100.11"), server("198.51.100.9"), server("198.51.100.9", 8, forward_method="nat")]
    table = {
        ident: Entry(service(ident), {each.id: each for each in servers} if ident == WEB else {})
        for ident in (ServiceId(IPV4, 0, "", 0, 7), WEB._replace(address="198.51.100.10"), WEB._replace(address="198.51.100.9"), WEB)
    }
    assert _rules.render_table(table) == (
        TCP
        + "-a -t 198.51.100.1:80 -r 198.51.100.9:8 -m -w 1\n"
        + "-a -t 198.51.100.1:80 -r 198.51.100.9:80 -g -w 1\n"
        + "-a -t 198.51.100.1:80 -r 198.51.100.11:80 -g -w 1\n"
        + "-A -t 198.51.100.9:80 -s wlc\n"
        + "-A -t 198.51.100.10:80 -s wlc\n"
        + MARKED
    )
    assert _rules.render_table({}) == ""


def test_render_timeouts_and_daemon():
    assert _rules.render_timeouts(Timeouts(900, 120, 300)) == "--set 900 120 300"
    assert _rules.render_timeouts(Timeouts(udp=5)) == "--set 0 0 5"
    assert _rules.render_daemon(Daemon("master", "eth0", 7)) == "--start-daemon master --mcast-interface eth0 --syncid 7"
    assert _rules.render_daemon(Daemon("backup", "eth0", 0, 1400, "ff02::81", 8848, 1)) == (
        "--start-daemon backup --mcast-interface eth0 --syncid 0 --sync-maxlen 1400 --mcast-group ff02::81 --mcast-port 8848 --mcast-ttl 1"
    )


# ---------------------------------------------------------------------------------------------------------------------
# reading what was written


@given(rule_tables.tables())
def test_what_is_written_is_read_back(table):
    assert _rules_reader.parse(_rules.render_table(table)) == (table, None, (), False)


interfaces = st.sampled_from(["lo", "eth0", "bond0.100"])


@given(rule_tables.timeouts, rule_tables.daemons("master", interfaces), rule_tables.daemons("backup", interfaces))
def test_timeouts_and_daemons_are_read_back(timeouts, master, backup):
    lines = [_rules.render_timeouts(timeouts), _rules.render_daemon(master), _rules.render_daemon(backup)]
    assert _rules_reader.parse("\n".join(lines)) == ({}, timeouts, (master, backup), False)


@st.composite
def spelled_anew(draw, line):
    """A rule that says the same in other words: options in another order, long, joined, with other blanks, with a comment."""
    words = line.split()
    command, words = words[0], words[1:]
    options = []
    while words:
        name = words.pop(0)
        options.append((name, words.pop(0) if words and not words[0].startswith("-") else None))
    spelled = [command if draw(st.booleans()) else LONG_NAMES[command]]
    for name, value in draw(st.permutations(options)):
        long = LONG_NAMES.get(name, name)
        if value is None:
            spelled.append(draw(st.sampled_from([name, long])))
            continue
        forms = [[name, value], [long, value], [f"{long}={value}"]]
        if name != long:
            forms += [[name + value], [f"{name}={value}"]]
        spelled += draw(st.sampled_from(forms))
    blanks = st.sampled_from([" ", "\t", "   "])
    text = "".join(word + draw(blanks) for word in spelled)
    return draw(st.sampled_from(["", "  ", "ipvsadm ", " ipvsadm\t"])) + text + draw(st.sampled_from(["", "# 'comment'", "\r"]))


@given(st.data(), rule_tables.tables())
def test_other_spellings_mean_the_same(data, table):
    lines = [data.draw(spelled_anew(line)) for line in _rules.render_table(table).splitlines()]
    assert _rules_reader.parse("\n".join(lines)).table == table


@given(st.lists(st.sampled_from(["\n", *LONG_NAMES, *LONG_NAMES.values()]) | st.from_regex(r"\A-?-?[\w:.,=\[\]#'-]*\Z") | st.text(), max_size=20))
def test_any_text_is_a_ruleset_or_an_error_at_a_word(words):
    text = "-A -t 198.51.100.1:80\n" + " ".join(words)
    try:
        rules = _rules_reader.parse(text)
    except _rules_words.RuleError as error:
        line = text.split("\n")[error.line - 1]
        assert line[error.column - 1 :].startswith(error.word)
    else:
        assert _rules_reader.parse(_rules.render_table(rules.table)).table == rules.table


@pytest.mark.parametrize("text, table", SAME + OURS_ALONE)
def test_spelling(text, table):
    assert _rules.render_table(_rules_reader.parse(text).table) == table


@pytest.mark.parametrize("text, column, word, remedy", REFUSED + REFUSED_BY_US_ALONE)
def test_refusal(text, column, word, remedy):
    with pytest.raises(_rules_words.RuleError) as refusal:
        _rules_reader.parse(text)
    error = refusal.value
    assert (error.line, error.column, error.word) == (text.count("\n") + 1, column, word)
    assert remedy in error.remedy
    assert str(error) == "rules, line %d, column %d: %r: %s" % (error.line, column, word, error.remedy)


def test_digits_of_other_alphabets_are_no_number():
    with pytest.raises(_rules_words.RuleError, match="column 12: '\u0663': a number is needed here"):
        _rules_reader.parse("-A -f 7 -p \u0663")


@pytest.mark.parametrize(("word", "mark"), [("-1", 4294967295), ("-2147483648", 2147483648)])
def test_a_mark_that_ipvsadm_prints_as_a_signed_number(word, mark):
    assert [service["fwmark"] for service in from_ipvsadm(f"-A -f {word} -s wlc\n")["services"]] == [mark]


@pytest.mark.parametrize("word", ["-2147483649", "-0"])
def test_a_signed_mark_that_is_none(word):
    with pytest.raises(AnsibleFilterError, match="mark"):
        from_ipvsadm(f"-A -f {word} -s wlc\n")


@pytest.mark.parametrize(("service", "port", "number"), [("-u 198.51.100.1:53", "domain", 53), ("-t 198.51.100.1:80", "http", 80), ("-f 7", "http", 80)])
def test_the_name_of_a_servers_port_is_one_of_the_services_protocol(monkeypatch, service, port, number):
    """A firewall mark has no protocol; ipvsadm looks names up as those of TCP."""
    database = {("http", "tcp"): 80, ("domain", "udp"): 53}
    monkeypatch.setattr(_rules.socket, "getservbyname", lambda *words: database[words])
    table = _rules_reader.parse(f"-A {service}\n-a {service} -r 198.51.100.11:{port} -m\n").table
    assert [ident.port for entry in table.values() for ident in entry.servers] == [number]


def test_timeouts_add_up_and_zero_keeps():
    assert _rules_reader.parse("--set 900 0 0\n--set 0 5 0").timeouts == Timeouts(900, 5, None)
    assert _rules_reader.parse("--set 0 0 0").timeouts == Timeouts()
    assert _rules_reader.parse(TCP).timeouts is None


def test_daemons():
    started = "--start-daemon=master --mcast-interface=eth1 --syncid 7 --sync-maxlen 9000 --mcast-group ff02::0:81 --mcast-port 9 --mcast-ttl 3\n"
    master = Daemon("master", "eth1", 7, 9000, "ff02::81", 9, 3)
    assert _rules_reader.parse(started + "--start-daemon backup").daemons == (master, Daemon("backup", "eth0", 0, None, "224.0.0.81", 8848, 1))
    assert _rules_reader.parse(started + "--stop-daemon master").daemons == ()
    with pytest.raises(_rules_words.RuleError, match="line 2, column 16: 'master': a line above starts this daemon"):
        _rules_reader.parse(started + "--start-daemon master")


def test_clear_is_told():
    assert _rules_reader.parse("-C\n" + TCP).clears
    assert not _rules_reader.parse(TCP).clears


def test_a_deleted_service_can_be_added_again():
    assert _rules.render_table(_rules_reader.parse(TCP + SERVER + "\n-D -t 198.51.100.1:80\n" + TCP).table) == TCP


# ---------------------------------------------------------------------------------------------------------------------
# filters


@given(rule_tables.tables(), rule_tables.timeouts, rule_tables.daemons("backup", interfaces))
def test_filters_undo_each_other(table, timeouts, backup):
    text = "\n".join([_rules.render_timeouts(timeouts), _rules.render_table(table) + _rules.render_daemon(backup)]) + "\n"
    data = from_ipvsadm(text)
    assert data["services"] == [_model.entry_options(entry) for entry in _rules_reader.parse(text).table.values()]
    assert data["timeouts"] == {name: value for name, value in timeouts._asdict().items() if value}
    before = copy.deepcopy(data)
    if any(timeouts):
        assert to_ipvsadm(data) == text
    assert to_ipvsadm(data["services"]) == _rules.render_table(table)
    assert data == before


def test_from_ipvsadm_tells_what_the_text_says_and_no_more():
    assert from_ipvsadm("") == {"services": [], "sync_daemons": []}
    assert from_ipvsadm("-C\n--set 0 5 0\n--start-daemon master --mcast-interface eth1") == {
        "services": [],
        "timeouts": {"tcp_fin": 5},
        "sync_daemons": [
            {"role": "master", "interface": "eth1", "sync_id": 0, "multicast_group": "224.0.0.81", "multicast_port": 8848, "multicast_ttl": 1}
        ],
    }


def test_to_ipvsadm_fills_in_defaults_and_types():
    pool = [{"address": "198.51.100.11"}]
    services = [{"address": "198.51.100.1", "port": "80", "servers": pool}, {"fwmark": "7", "servers": pool}]
    assert to_ipvsadm(services) == TCP + SERVER + " -g -w 1\n" + MARKED + "-a -f 7 -r 198.51.100.11:0 -g -w 1\n"
    assert to_ipvsadm([{"fwmark": 7}]) == MARKED
    assert to_ipvsadm([]) == ""


def test_to_ipvsadm_takes_what_ipvs_info_returned():
    info = {"changed": False, "failed": False, "loaded": True, "version": "1.2.1", "connection_table_size": 4096}
    state = {"services": [{"fwmark": 7, "statistics": {"connections": 1}}], "timeouts": {"tcp": 900, "tcp_fin": 120, "udp": 300}, "sync_daemons": []}
    assert to_ipvsadm(dict(info, **state)) == "--set 900 120 300\n" + MARKED
    assert to_ipvsadm(dict(info, services=[], timeouts=None, sync_daemons=[])) == ""


@pytest.mark.parametrize(
    "value, message",
    [
        ("-A", "expected a list of services or a dict .*, got str"),
        (None, "got NoneType"),
        ({}, "found nothing"),
        ({"changed": True, "server": {}}, "expected a dict with services, timeouts or sync_daemons, found changed, server"),
        ({"services": [], "timeout": {}}, "found timeout"),
        (["web"], "services"),
        ([{"fwmark": 7, "schedular": "rr"}], "schedular.*Supported parameters include"),
        ([{"address": "198.51.100.1", "port": "http"}], "port.* int"),
        ([{"address": "198.51.100.1", "port": 80, "protocol": "icmp"}], "tcp, udp, sctp"),
        ([{"fwmark": 7}, {"fwmark": 7}], r"services\[1\].fwmark: 'fwmark 7': this service is listed twice"),
        ([{"fwmark": 7}, {"address": "198.51.100.1", "port": 0}], r"services\[1\].port: 0: port 0 .* needs persistence"),
        ([{"fwmark": 7, "servers": [{"address": "198.51.100.1", "lower_threshold": 1}]}], r"services\[0\].servers\[0\].lower_threshold: 1"),
        ([{"fwmark": 7, "servers": [{"address": "198.51.100.1", "tunnel_type": "gre"}]}], "tunnel options need forward_method tun"),
        ({"timeouts": {"tcp": -1}}, "timeouts.tcp: -1: .* 0 to 2678400"),
        ({"sync_daemons": [{"role": "master"}]}, "missing required arguments: interface"),
        ({"sync_daemons": [{"role": "master", "interface": "lo", "sync_id": 256}]}, r"sync_daemons\[0\].sync_id: 256"),
        ({"sync_daemons": [{"role": "master", "interface": "lo"}] * 2}, r"sync_daemons\[1\].role: 'master'"),
    ],
)
def test_to_ipvsadm_refuses(value, message):
    with pytest.raises(AnsibleFilterError, match="to_ipvsadm: .*" + message):
        to_ipvsadm(value)


def test_from_ipvsadm_refuses():
    with pytest.raises(AnsibleFilterError, match="from_ipvsadm: rules, line 2, column 7: 'web:80': host names are not resolved"):
        from_ipvsadm("\n-A -t web:80")
    with pytest.raises(AnsibleFilterError, match="from_ipvsadm: expected rule text, got list"):
        from_ipvsadm([])


def test_a_long_option_that_takes_no_value():
    assert _rules.render_table(_rules_reader.parse("-A -f 7 -s rr --ops").table) == "-A -f 7 -s rr -o\n"
