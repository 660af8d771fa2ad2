# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a role wants to know of a node, in one round trip. Changes nothing.

    python3 read_node.py REQUEST

REQUEST and the answer on standard output are JSON objects. Keys of the request, each of which may be missing:

files      paths                                -> files: {path: text, or null where it isn't there}
sysctls    {key: wished value, or null}, * in a key for any one name
                                                -> sysctls: {key: value}, only those that this kernel has; wrong_sysctls: the keys
                                                   that have another value than wished; lacking_sysctls: those that match nothing
commands   {name: argument list}                -> commands: {name: standard output, or null where it failed}
addresses  IP literals in any spelling          -> spelling: {literal: the one spelling that the kernel prints}
vips       [{address, prefix_length, interface}], the latter two may be missing or null; or just addresses
                                                -> vips: the same, complete; interface is null where none leads to the address
interface  the interface for vips that name none

Always answered: local ([{address, prefix_length, interface}] of every interface), links ({interface: whether it is up}) and
ipvs (loaded, loadable or missing). Addresses in vips and local have their words for ip(8) beside them, as in
where: "203.0.113.80/32 dev eth0".
"""

from __future__ import annotations

import glob
import ipaddress
import json
import os
import subprocess
import sys

SWAP = str.maketrans("./", "/.")


def output(command):
    """Standard output of a command (a list), or None where it failed or isn't there."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(os.environ, LC_ALL="C"), check=False)
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def text_of(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return None


def paths_of(pattern):
    """A key has dots where the path has slashes, and the other way round, as sysctl(8) says."""
    return sorted(path for path in glob.glob("/proc/sys/" + pattern.translate(SWAP)) if os.path.isfile(path))


def compare_sysctls(wishes):
    """(values, wrong, lacking) as the answer has them."""
    values, wrong, lacking = {}, [], []
    for pattern, wish in wishes.items():
        found = {path[len("/proc/sys/") :].translate(SWAP): " ".join((text_of(path) or "").split()) for path in paths_of(pattern)}
        values.update(found)
        wished = str(int(wish) if isinstance(wish, bool) else wish).split()
        if wish is not None:
            wrong += [key for key in found if found[key].split() != wished]
        if not found:
            lacking.append(pattern)
    return values, wrong, lacking


def spelled(literal):
    try:
        return str(ipaddress.ip_address(literal))
    except ValueError:
        return literal  # the module that it is meant for says what is wrong with it


def placed(address, prefix_length, interface):
    where = "%s/%d dev %s" % (address, prefix_length, interface)
    return {"address": address, "prefix_length": prefix_length, "interface": interface, "where": where}


def links_and_addresses():
    links, local = {}, []
    for link in json.loads(output(["ip", "-json", "address", "show"]) or "[]"):
        if "ifname" not in link:
            continue
        links[link["ifname"]] = "UP" in link["flags"]
        for address in link["addr_info"]:
            if "local" in address:
                local.append(placed(address["local"], address["prefixlen"], link["ifname"]))
    return links, local


def interface_towards(address):
    """The interface by which this node would reach an address that isn't its own."""
    routes = json.loads(output(["ip", "-json", "route", "get", address]) or "[]")
    interface = routes[0].get("dev") if routes else None
    return None if interface == "lo" else interface


def completed(vip, local, default):
    if isinstance(vip, str):
        vip = {"address": vip}
    address = spelled(vip["address"])
    holders = [each["interface"] for each in local if each["address"] == address and each["interface"] != "lo"]
    interface = vip.get("interface") or default or (holders + [interface_towards(address)])[0]
    return placed(address, vip.get("prefix_length") or (128 if ":" in address else 32), interface)


def ipvs():
    if os.path.exists("/proc/net/ip_vs"):
        return "loaded"
    return "loadable" if "/ip_vs.ko" in (text_of("/lib/modules/%s/modules.dep" % os.uname().release) or "") else "missing"


def main():
    request = json.loads(sys.argv[1])
    links, local = links_and_addresses()
    values, wrong, lacking = compare_sysctls(request.get("sysctls", {}))
    answer = {
        "files": {path: text_of(path) for path in request.get("files", [])},
        "sysctls": values,
        "wrong_sysctls": wrong,
        "lacking_sysctls": lacking,
        "commands": {name: output(command) for name, command in request.get("commands", {}).items()},
        "spelling": {literal: spelled(literal) for literal in request.get("addresses", [])},
        "vips": [completed(vip, local, request.get("interface")) for vip in request.get("vips", [])],
        "local": local,
        "links": links,
        "ipvs": ipvs(),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
