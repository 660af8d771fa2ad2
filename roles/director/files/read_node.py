# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a role wants to know of a node, in one round trip. Changes nothing.

    python3 read_node.py < REQUEST

The request on standard input and the answer on standard output are JSON objects. Keys of the request, each of which may be missing:

files      paths                                -> files: {path: text, or null where it isn't there}
sysctls    {key: wished value, or null}, * in a key for any one name
                                                -> sysctls: {key: value}, only those that this kernel has; wrong_sysctls: the keys
                                                   that have another value than wished; lacking_sysctls: {key: {place, names}} of
                                                   those that match nothing: the index of the first word that is not there, and what is
                                                   there in its place
modes      {path: mode that it should have, as "0644"}; the owner should be root
                                                -> wrong_modes: {path: what is wrong, as a text}, only where something is
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


def run(command, text=""):
    """(standard output, whether it succeeded) of a command (a list) with this text on its standard input."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        done = subprocess.run(command, input=text.encode(), stdout=pipe, stderr=null, env=dict(os.environ, LC_ALL="C"), check=False)
    except OSError:
        return "", False
    return done.stdout.decode("utf-8", "replace"), done.returncode == 0


def output(command):
    """Standard output of a command (a list), or None where it failed or isn't there."""
    text, succeeded = run(command)
    return text if succeeded else None


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
    values, wrong, lacking = {}, [], {}
    for pattern, wish in wishes.items():
        found = {path[len("/proc/sys/") :].translate(SWAP): " ".join((text_of(path) or "").split()) for path in paths_of(pattern)}
        values.update(found)
        wished = str(int(wish) if isinstance(wish, bool) else wish).split()
        if wish is not None:
            wrong += [key for key in found if found[key].split() != wished]
        if not found:
            lacking[pattern] = first_missing(pattern)
    return values, wrong, lacking


def first_missing(pattern):
    """Where the key ends to be one of this kernel. An interface that is not there may come: its settings are those of "default"."""
    folder, names = "/proc/sys", []
    words = pattern.translate(SWAP).split("/")
    for place, word in enumerate(words):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if word not in names and words[2:3] and words[2] in ("conf", "neigh") and place == 3:
            word = "default"
        if word not in names:
            break
        folder += "/" + word
    return {"place": place, "names": [name.translate(SWAP) for name in names if name != words[place]]}


def wrong_modes(wishes):
    wrong = {}
    for path, mode in wishes.items():
        try:
            status = os.stat(path)
        except OSError:
            continue
        found = "%04o %d:%d" % (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        if found != mode + " 0:0":
            wrong[path] = "mode and owner are %s, not %s 0:0" % (found, mode)
    return wrong


def is_address(literal):
    try:
        ipaddress.ip_address(literal)
    except ValueError:
        return False
    return True


def spelled(literal):
    # The module that it is meant for says what is wrong with one that is none.
    return str(ipaddress.ip_address(literal)) if is_address(literal) else literal


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


def routed(addresses):
    """{address: the interface by which this node would reach it, as it isn't its own}, without those that no interface leads to."""
    text, _succeeded = run(["ip", "-json", "-force", "-batch", "-"], "".join("route get %s\n" % address for address in addresses))
    interfaces, start = {}, text.find("[")
    while start >= 0:  # an array for each answer
        routes, end = json.JSONDecoder().raw_decode(text, start)
        interfaces.update((route["dst"], route["dev"]) for route in routes if "dev" in route and route["dev"] != "lo")
        start = text.find("[", end)
    return interfaces


def completed(vips, local, default):
    """Every virtual address with its prefix length and interface: the one that it names, the default, where it is, where its route leads."""
    vips = [dict({"address": vip} if isinstance(vip, str) else vip) for vip in vips]
    holders = {each["address"]: each["interface"] for each in reversed(local) if each["interface"] != "lo"}
    for vip in vips:
        vip["address"] = spelled(vip["address"])
        vip["interface"] = vip.get("interface") or default or holders.get(vip["address"])
    routes = routed([vip["address"] for vip in vips if not vip["interface"] and is_address(vip["address"])])
    return [
        placed(vip["address"], vip.get("prefix_length") or (128 if ":" in vip["address"] else 32), vip["interface"] or routes.get(vip["address"]))
        for vip in vips
    ]


def ipvs():
    if os.path.exists("/proc/net/ip_vs"):
        return "loaded"
    return "loadable" if "/ip_vs.ko" in (text_of("/lib/modules/%s/modules.dep" % os.uname().release) or "") else "missing"


def main():
    request = json.load(sys.stdin)
    links, local = links_and_addresses()
    values, wrong, lacking = compare_sysctls(request.get("sysctls", {}))
    answer = {
        "files": {path: text_of(path) for path in request.get("files", [])},
        "sysctls": values,
        "wrong_sysctls": wrong,
        "lacking_sysctls": lacking,
        "wrong_modes": wrong_modes(request.get("modes", {})),
        "commands": {name: output(command) for name, command in request.get("commands", {}).items()},
        "spelling": {literal: spelled(literal) for literal in request.get("addresses", [])},
        "vips": completed(request.get("vips", []), local, request.get("interface")),
        "local": local,
        "links": links,
        "ipvs": ipvs(),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
