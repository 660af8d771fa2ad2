# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``ipvs_firewall`` does: marks, masquerading and untracked packets in a table of ours, and the ports that firewalld lets in."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from ansible.module_utils.parsing.convert_bool import BOOLEANS_FALSE, BOOLEANS_TRUE

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _firewalld, _netns, _nftables, _own_files, _programs, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

UNIT_TEXT = """# Made by the Ansible module lvs.ipvs.ipvs_firewall.
[Unit]
Description=Packet marks and address translation for IPVS
After=nftables.service firewalld.service
Before=network-pre.target
Wants=network-pre.target
# nftables.service takes away every table when it starts, stops and reloads. For its start see ipvs-firewall-again.service.
PartOf=nftables.service
ReloadPropagatedFrom=nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%(nft)s --file %(file)s
ExecReload=%(nft)s --file %(file)s
ExecStop=%(nft)s "table %(table)s; delete table %(table)s"

[Install]
WantedBy=multi-user.target nftables.service
"""
AGAIN = "ipvs-firewall-again.service"
# To start a unit that is active does nothing, and that is what ipvs-firewall.service is when nftables.service is started later on.
AGAIN_TEXT = """# Made by the Ansible module lvs.ipvs.ipvs_firewall.
[Unit]
Description=Packet marks and address translation for IPVS, after nftables.service has started
After=nftables.service ipvs-firewall.service

[Service]
Type=oneshot
ExecStart=%(nft)s --file %(file)s

[Install]
WantedBy=nftables.service
"""
_HEADER = "# Made by the Ansible module lvs.ipvs.ipvs_firewall; %s loads it.\n" % _nftables.UNIT
_TEXTS = {_nftables.UNIT: UNIT_TEXT, AGAIN: AGAIN_TEXT}
_CONNTRACK = "/proc/sys/net/ipv4/vs/conntrack"
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?\Z")
_GATEWAY = 0x2  # RTF_GATEWAY of linux/route.h


class Desired(NamedTuple):
    """``rules``: _nftables.Rules; ``open``: Selectors of what firewalld lets in; ``half``: services of which a director sees one
    direction only and tracks it; ``nat``: services with NAT servers."""

    rules: _nftables.Rules
    open: list
    half: list
    nat: list


def manage_firewall(options, context):
    """What ``ipvs_firewall`` does. ``options``: its options; returns an Answer."""
    if options["netns"] and options["persist"]:
        raise OptionError("netns", options["netns"], "only the rules of the initial network namespace are restored at boot: set persist to false")
    with _netns.inside(options["netns"]):
        return _manage(options, context)


def _manage(options, context):
    absent = options["state"] == "absent"
    desired = Desired(_nftables.Rules([], [], [], []), [], [], []) if absent else make_desired(options, connected_networks)
    text = _nftables.render(desired.rules)

    # In an image build there may be no nftables to ask.
    found, wanted = (_nftables.listing(context), _nftables.as_listed(text, context)) if options["load"] else ("", text or "")
    files, units = _kept(text, context) if options["persist"] else ([], [])
    firewalld = None
    if options["firewalld"] and not options["netns"] and _firewalld.running(context):
        firewalld = _firewalld.plan(desired.open, options["zones"] or [], context)

    table = _nftables.differences(found, wanted) if options["load"] else []
    boot = _own_files.differences(files) + _unit_differences(units, text, options["load"])
    differences = table + boot + (_firewalld.differences(firewalld) if firewalld else [])
    conflicts = [] if absent else _conflicts(desired, context)
    for conflict in conflicts:
        context.warn(conflict)

    if not context.check_mode:
        if firewalld and (firewalld.steps or firewalld.opened != _firewalld.read_record()):
            _firewalld.apply(firewalld, context)
        if table or boot:
            _put(text, files, units, table, options["load"], context)
    values = {"differences": differences, "conflicts": conflicts, "rules": wanted}
    before, after = found, wanted if options["load"] else ""
    before, after = before + _own_files.shown([change.found for change in files]), after + _own_files.shown([change.wanted for change in files])
    if firewalld:
        before, after = before + firewalld.before, after + firewalld.after
    return Answer(bool(differences), values, *((before, after) if context.diff else (None, None)))


def _kept(text, context):
    """([Change] of our files, [Unit] of ours) for the rules of this text."""
    words = {"nft": _nftables.installed() or "/usr/sbin/nft", "file": _nftables.FILE, "table": _nftables.TABLE}
    wanted = [_own_files.File(_nftables.FILE, None if text is None else _HEADER + text, 0o600)]
    wanted += [_own_files.File(_units.FOLDER + name, None if text is None else each % words) for name, each in _TEXTS.items()]
    files = _own_files.plan(wanted)
    if text is None and not files:
        return files, []
    if not _programs.find("systemctl"):
        raise IpvsError("systemd, which restores the rules at boot, does not run on this node: set persist to false")
    return files, [_units.state(name, context) for name in _TEXTS]


def _unit_differences(units, text, load):
    if text is None:
        return ["%s is enabled and no longer needed" % unit.name for unit in units if unit.enabled]
    differences = ["%s is not enabled" % unit.name for unit in units if not unit.enabled]
    idle = [unit.name for unit in units if unit.name == _nftables.UNIT and not unit.active] if load and _units.running() else []
    return differences + ["%s is not active" % name for name in idle]


def _put(text, files, units, table, load, context):
    if units and text is None:
        for unit in units:
            if unit.there:
                _units.stop(unit.name, context)
        _own_files.write(files, context)
        _units.reload_manager(context)
    elif units:
        _own_files.write(files, context)
        for unit in units:
            _units.enable(unit.name, context)
        if load and _units.running():
            _units.start(_nftables.UNIT, context)
            return
    if table and (text or _nftables.listing(context)):
        _nftables.apply(text, context)


# What is asked for


def make_desired(options, connected):
    """The Desired of the module's options. ``connected()``: the networks that this machine is on. Raises OptionError. Pure otherwise."""
    table = _model.created_table(options["services"] or [])
    marks = _marks(options["marks"] or [])
    nat = [ident for ident, entry in table.items() if _methods(entry) & {"nat"}]
    half = [ident for ident, entry in table.items() if not _methods(entry) - {"dr", "tun", "local"} and _methods(entry) - {"local"}]
    servers = sorted({server.address for ident in nat for server, desired in table[ident].servers.items() if desired.forward_method == "nat"})
    servers = [ipaddress.ip_network(address) for address in servers]
    clients = _clients(options["snat"], servers, connected)
    selectors = {ident: _selectors(ident, marks) for ident in table}
    notrack = [selector for ident in half for selector in selectors[ident]] if options["notrack"] else []
    opened = [selector for ident in table for selector in selectors[ident]]
    return Desired(_nftables.Rules(marks, notrack, clients, servers if clients else []), opened, [] if options["notrack"] else half, nat)


def _methods(entry):
    return {server.forward_method for server in entry.servers.values()}


def _selectors(ident, marks):
    """What packets reach a virtual service: those to its address and port, or those with its mark."""
    if ident.fwmark:
        version = 6 if ident.family == _literals.IPV6 else 4
        return [selector for mark, selector in marks if mark == ident.fwmark and selector.network.version == version]
    ports = ((ident.port, ident.port),) if ident.port else ()
    return [_nftables.Selector(ipaddress.ip_network(ident.address), _model.protocol_name(ident.protocol), ports)]


def _marks(entries):
    """[(mark, Selector)] of the option ``marks``."""
    marks = []
    for index, entry in enumerate(entries):
        path = "marks[%d]." % index
        _checks.in_range(entry["mark"], 1, _model.MAX_FWMARK, path + "mark", "a firewall mark")
        ports = [_ports(text, "%sports[%d]" % (path, each)) for each, text in enumerate(entry["ports"] or [])]
        selector = _nftables.Selector(network(entry["address"], path + "address"), entry["protocol"] or "tcp", _nftables.merged_ranges(ports))
        marks.append((entry["mark"], selector))
    both = _nftables.conflict(marks)
    if both:
        (mark, selector), (other, _selector) = marks[both[0]], marks[both[1]]
        raise OptionError(
            "marks[%d].mark" % both[1],
            other,
            "marks[%d] gives packets that this entry is for the mark %d (%s): a packet has one mark" % (both[0], mark, selector),
        )
    return marks


def _ports(text, option):
    match = _PORTS.match(text.strip())
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= low <= high <= _literals.MAX_PORT:
        raise OptionError(option, text, "give a port from 1 to %d, or a range of them such as 8000-8010" % _literals.MAX_PORT)
    return low, high


def network(text, option):
    """The network, or the single address, that a text stands for. Raises OptionError."""
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        remedy = "the address has bits beyond the network's length: write %s, or the address by itself" % ipaddress.ip_network(text, strict=False)
    except ValueError:
        remedy = "give an IPv4 or IPv6 address or network, such as 203.0.113.80 or 203.0.113.0/24; host names are not resolved"
    raise OptionError(option, text, remedy)


def _clients(snat, servers, connected):
    """The networks whose clients are masqueraded."""
    if isinstance(snat, str) and snat.lower() in BOOLEANS_TRUE | BOOLEANS_FALSE:
        snat = snat.lower() in BOOLEANS_TRUE
    if snat is True:
        return [each for each in connected() if any(each.version == server.version and server.subnet_of(each) for server in servers)]
    if not snat:
        return []
    if not isinstance(snat, list) or not all(isinstance(each, str) for each in snat):
        raise OptionError("snat", snat, "give true, false, or a list of networks such as 198.51.100.0/24")
    return [network(each, "snat[%d]" % index) for index, each in enumerate(snat)]


# The node


def connected_networks(proc="/proc/thread-self/net"):
    """The networks that this machine reaches without a gateway, as its kernel lists the routes. A link-local one does not count."""
    networks = set()
    for line in _lines(proc + "/route")[1:]:
        words = line.split()
        if not int(words[3], 16) & _GATEWAY:
            address, mask = [int.from_bytes(bytes.fromhex(word), "little") for word in (words[1], words[7])]
            networks.add(ipaddress.ip_network((address, bin(mask).count("1"))))
    for line in _lines(proc + "/ipv6_route"):
        words = line.split()
        if not int(words[8], 16) & _GATEWAY and words[9] != "lo":
            networks.add(ipaddress.ip_network((int(words[0], 16), int(words[1], 16))))
    networks = [each for each in networks if each.prefixlen and not each.is_link_local and not each.is_multicast]
    return sorted(networks, key=lambda each: (each.version, each))


def _lines(path):
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().splitlines()
    except OSError:
        return []  # a kernel without this family


def _conflicts(desired, context):
    """What keeps the services from answering and is not this module's to change, one text each."""
    conflicts = []
    tracked = "".join(_lines(_CONNTRACK)).strip() == "1"
    if desired.rules.clients and not tracked:
        conflicts.append("snat: needs net.ipv4.vs.conntrack=1, or nothing is masqueraded: set it with lvs.ipvs.ipvs_sysctls")
    half, nat = desired.half, [] if tracked else desired.nat
    drops = _nftables.invalid_drops(_nftables.ruleset(context)) if half or nat else []
    for drop in drops:
        if half:
            conflicts.append(
                "%s: drops packets of virtual services with dr and tun (%s), whose answers this machine does not see: set notrack to true" % (drop, _some(half))
            )
        if nat:
            conflicts.append("%s: drops packets of virtual services with nat (%s): set net.ipv4.vs.conntrack=1 with lvs.ipvs.ipvs_sysctls" % (drop, _some(nat)))
    return conflicts


def _some(idents):
    return ", ".join(map(str, idents[:3])) + (", ..." if idents[3:] else "")
