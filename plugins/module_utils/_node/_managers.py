# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps systemd-networkd and NetworkManager from removing what we have added to the network, by their own means.

systemd-networkd, when it starts and when it configures an interface anew, removes addresses, routes and rules that are not its own. It is
told to keep them, so nothing is lost: routes and rules by a file in networkd.conf.d, the addresses of an interface by one beside the .network
file that applies to it. ``KeepConfiguration=static`` keeps only addresses that never expire or become deprecated, and ours of IPv6 are
deprecated, so that no connection starts from them: these need ``yes``. So does an interface with DHCP, or it would lose its own address.
The kernel drops the routes through an interface with its last address, which goes with the carrier: they are given to systemd-networkd as
its own, and come back with the address.

NetworkManager has no such setting: what it brings up, it brings up without what others have added. Its dispatcher has our unit put back
what is missing, at once. What it takes down stays down until then.

Interfaces that we make are for neither of them. Where a manager does not run, nothing is written for it.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shlex
from typing import Dict, List, NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_lines, _own_files, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

NETWORKD = "systemd-networkd.service"
NETWORK_MANAGER = "NetworkManager.service"
TUNNELS = frozenset(("tunl0", "sit0", "ip6tnl0", "gre0", "ip6gre0"))
"""Interfaces that come with a kernel module: nobody's but ours."""
_NETWORKS = "/etc/systemd/network/"
_FOLDERS = ("/usr/lib/systemd/network", "/usr/local/lib/systemd/network", "/run/systemd/network", "/etc/systemd/network")  # the last one counts
_OUR_DROP_IN = re.compile(r"9[01]-ipvs-.*\.conf")
_ADDRESSES = re.compile(r"(?m)^ +Address: (.*(?:\n +(?!.*: )\S.*)*)")  # one on each line; no other line lacks a name and a colon
_KERNELS_OWN = ("127.", "::1", "fe80:")
_TRUE = ("yes", "true", "1", "on", "y", "t")
_FALSE = ("no", "false", "0", "off", "n", "f", "")
_HOOK = """\
#!/bin/sh
# %(mark)s; changes are overwritten.
# NetworkManager brings an interface up without what others have added to it: the unit adds what is missing. A unit that an administrator
# has stopped stays so; one that has failed may have been too early for the interface.
case $1 in
%(interfaces)s) ;;
*) exit 0 ;;
esac
case $2 in
up | reapply | dhcp4-change | dhcp6-change) ;;
*) exit 0 ;;
esac
if systemctl --quiet is-failed %(unit)s; then
    exec systemctl --no-block start %(unit)s
fi
exec systemctl --no-block try-reload-or-restart %(unit)s
"""


class Network(NamedTuple):
    """How systemd-networkd configures an interface. ``path``: its .network file; ``keep``: KeepConfiguration without ours; ``dhcp``: IPv4;
    ``in_use``: whether it has addresses that the kernel does not give by itself."""

    path: str
    keep: str
    dhcp: bool
    in_use: bool = True


class Found(NamedTuple):
    """What runs. ``networks``: {interface: Network} of those that systemd-networkd manages, None where it does not run."""

    networks: Optional[Dict[str, Network]]
    network_manager: bool


class Subject(NamedTuple):
    """What lines add to the network. ``made``: interfaces; ``holders``: {interface of somebody else: whether an IPv6 address is added};
    ``routes``: lines with a gateway; ``anything``: whether there are lines at all."""

    made: List[str]
    holders: Dict[str, bool]
    routes: List
    anything: bool


# Pure


def subject(lines):
    """The Subject of these lines."""
    made = {line.words[0] for line in lines if line.kind == "dummy" or (line.kind == "link" and line.words[0] in TUNNELS)}
    holders = {}
    for line in lines:
        if line.kind == "address" and line.words[2] not in made:
            holders[line.words[2]] = holders.get(line.words[2], False) or ":" in line.words[0]
    return Subject(sorted(made), holders, [line for line in lines if line.kind == "route" and "via" in _network_lines.settings_of(line)], bool(lines))


def _gateway(line):
    return _network_lines.settings_of(line)["via"]


def keep(network, ipv6):
    """What KeepConfiguration has to say in a file of ours; None where it says enough without. ``ipv6``: an IPv6 address is to be kept."""
    if network.keep.lower() in _TRUE:
        return None
    if ipv6 or network.dhcp or network.keep.lower() not in _FALSE + ("static",):
        return "yes"
    return None if network.keep == "static" else "static"


def wanted(owner, about, ways, found):
    """{path: (text, mode)} of the files of this owner. ``about``: the Subject; ``ways``: {gateway: interface that leads there}."""
    texts = {}
    head = "# %s; changes are overwritten.\n" % owner.mark
    holders = dict(dict.fromkeys(sorted(ways.values()), False), **about.holders)
    if found.networks is not None:
        managed = {name: found.networks[name] for name in holders if name in found.networks}
        for name, network in managed.items():
            # A file that applies to other interfaces as well would send each of them looking for the gateway.
            alone = [each.path for each in found.networks.values()].count(network.path) == 1
            routes = [line for line in about.routes if alone and ways.get(_gateway(line)) == name]
            value = keep(network, holders[name])
            text = ("[Network]\nKeepConfiguration=%s\n" % value if value else "") + "".join(map(_route, routes))
            if text:
                # That of two owners which keeps more has the last word.
                texts["%s%s.d/9%d-%s.conf" % (_NETWORKS, os.path.basename(network.path), value == "yes", owner.name)] = (head + text, 0o644)
        if managed or about.routes:
            conf = head + "[Network]\nManageForeignRoutes=no\nManageForeignRoutingPolicyRules=no\n"
            texts["/etc/systemd/networkd.conf.d/90-%s.conf" % owner.name] = (conf, 0o644)
        if about.made:
            unmanaged = head + "[Match]\nName=%s\n\n[Link]\nUnmanaged=yes\n" % " ".join(about.made)
            texts["%s05-%s.network" % (_NETWORKS, owner.name)] = (unmanaged, 0o644)
    if found.network_manager:
        hooked = sorted(name for name in holders if name != "lo")
        if hooked:
            hook = _HOOK % {"mark": owner.mark, "interfaces": " | ".join(map(shlex.quote, hooked)), "unit": owner.unit}
            texts["/etc/NetworkManager/dispatcher.d/50-" + owner.name] = (hook, 0o755)
        if about.made:
            names = ";".join("interface-name:=" + name for name in about.made)
            texts["/etc/NetworkManager/conf.d/90-%s.conf" % owner.name] = (head + "[keyfile]\nunmanaged-devices+=%s\n" % names, 0o644)
    return texts


def _route(line):
    """The section for a line of kind route."""
    settings = _network_lines.settings_of(line)
    destination = "" if settings["to"] == "default" else "Destination=%s\n" % settings["to"]
    return "\n[Route]\n%sGateway=%s\nTable=%d\n" % (destination, settings["via"], settings["table"])


def managed_by(text):
    """{interface: (path of its .network file, whether it has addresses that the kernel does not give by itself)} of the output of
    ``networkctl status``, without interfaces that are not managed."""
    found = {}
    for part in re.split(r"(?m)^\W*\d+: ", text)[1:]:
        path = re.search(r"(?m)^ *Network File: (/.*)$", part)
        if path and not re.search(r"(?m)^ *State: .*\(unmanaged\)", part):
            addresses = _ADDRESSES.search(part)
            words = [line.split()[0] for line in addresses.group(1).splitlines() if line.strip()] if addresses else []
            found[part.split(None, 1)[0]] = (path.group(1).strip(), any(not word.startswith(_KERNELS_OWN) for word in words))
    return found


def setting(texts, key):
    """The last value of a setting in the section Network of these texts; empty where there is none."""
    value = ""
    for text in texts:
        section = ""
        for line in text.splitlines():
            name, equals, right = line.strip().partition("=")
            if name.startswith("["):
                section = name
            elif equals and section == "[Network]" and name.strip() == key:
                value = right.strip()
    return value


# Reading and doing


def files(owner, lines, node, context):
    """[File] for what these lines add; those that are there and no longer needed without a text. Raises IpvsError."""
    about = subject(lines)
    there = _there(owner)
    if not about.anything:
        return [_own_files.File(path, None) for path in there]
    found = read(context)
    gateways = sorted({_gateway(line) for line in about.routes})
    ways = node.routes_to(gateways) if gateways and (found.network_manager or found.networks) else {}
    texts = wanted(owner, about, ways, found)
    listed = [_own_files.File(path, text, mode) for path, (text, mode) in texts.items()]
    # A manager that happens not to run keeps what it was given.
    gone = [path for path in there if path not in texts and (found.network_manager if "/NetworkManager/" in path else found.networks is not None)]
    return listed + [_own_files.File(path, None) for path in gone]


def _there(owner):
    """The paths of files that this owner has written."""
    fixed = [
        "%s*.network.d/9[01]-%s.conf" % (_NETWORKS, owner.name),
        "%s05-%s.network" % (_NETWORKS, owner.name),
        "/etc/systemd/networkd.conf.d/90-%s.conf" % owner.name,
        "/etc/NetworkManager/dispatcher.d/50-" + owner.name,
        "/etc/NetworkManager/conf.d/90-%s.conf" % owner.name,
    ]
    return [path for pattern in fixed for path in sorted(glob.glob(pattern))]


def read(context):
    """What runs on this node, as Found. Raises IpvsError."""
    if not _units.running():
        return Found(None, False)
    states = [_units.is_active(name, context) for name in (NETWORKD, NETWORK_MANAGER)]
    return Found(_networks(context) if states[0] else None, states[1])


def _networks(context):
    """{interface: Network} of all that systemd-networkd manages."""
    status, output, errors = context.run_command(["networkctl", "--no-pager", "--no-legend", "--lines=0", "--all", "status"])
    if status:
        raise IpvsError("networkctl status failed, so what systemd-networkd manages is not known: %s" % " ".join(errors.split()))
    networks = {}
    for name, (path, in_use) in managed_by(output).items():
        texts = [_own_files.read(each).text or "" for each in [path] + _drop_ins(path)]
        dhcp = setting(texts, "DHCP").lower() in _TRUE + ("ipv4", "both", "v4")
        networks[name] = Network(path, setting(texts, "KeepConfiguration"), dhcp, in_use)
    return networks


def _drop_ins(path):
    """The paths of what others have beside a .network file, in the order in which it counts."""
    found = {}
    for folder in _FOLDERS:
        for each in glob.glob("%s/%s.d/*.conf" % (folder, glob.escape(os.path.basename(path)))):
            found[os.path.basename(each)] = each
    return [found[name] for name in sorted(found) if not _OUR_DROP_IN.fullmatch(name)]


def take_up(changes, context):
    """Have the managers take up files of theirs that have been written. Raises IpvsError.

    systemd-networkd reads networkd.conf.d only when it starts. Starting it again loses nothing where every interface that it manages is
    kept, even for a moment. Where one is not, this is left to the next start, which reads the files before it removes anything. What has
    been removed is not taken up either: it does no harm, and forgetting it would remove what others have added.
    """
    written = [change.wanted.path for change in changes if change.wanted.text is not None]
    for change in changes:
        if change.wanted.text is None and re.search(r"/(networkd\.conf|[^/]+\.network)\.d/", change.wanted.path):
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(change.wanted.path))
    if any(path.startswith("/etc/NetworkManager/conf.d/") for path in written):
        _run(["nmcli", "general", "reload", "conf"], context)
    if any(".network.d/" in path or "/networkd.conf.d/" in path for path in written):
        exposed = sorted(name for name, network in _networks(context).items() if _exposed(network))
        if not exposed:
            _units.restart(NETWORKD, context)
            return
        context.warn(
            "systemd-networkd has not been restarted, because it would remove what others have added to %s. It will keep what this task adds from its "
            "next start on; until then do not run networkctl reload or networkctl reconfigure." % ", ".join(exposed)
        )
    elif any(path.startswith(_NETWORKS) for path in written):
        _run(["networkctl", "reload"], context)


def _exposed(network):
    """Whether an interface would lose something when systemd-networkd starts again, also by files of ours."""
    name = os.path.basename(network.path)
    ours = [_own_files.read(each).text or "" for each in sorted(glob.glob("%s%s.d/9[01]-ipvs-*.conf" % (_NETWORKS, glob.escape(name))))]
    kept = setting(ours, "KeepConfiguration") or network.keep
    return network.in_use and kept.lower() not in _TRUE and (kept != "static" or network.dhcp)


def _run(command, context):
    status, output, errors = context.run_command(command)
    if status:
        raise IpvsError("%s failed: %s" % (" ".join(command), " ".join((errors or output).split()) or "exit status %d" % status))
