# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one nftables table of ours: its text, the table in the kernel, and rules of others that get in the way of IPVS.

Sources: nft(8); the priorities of the hooks in linux/netfilter_ipv4.h. IPVS itself stands at 98 and 99 in input, after every filter.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _programs
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

TABLE = "inet lvs_ipvs"
FILE = "/etc/ipvs-firewall.nft"
UNIT = "ipvs-firewall.service"
REMOVAL = "table %s\ndelete table %s\n" % (TABLE, TABLE)
"""Input of nft that removes the table, whether or not it is there."""


class Selector(NamedTuple):
    """Packets to a destination. ``network``: an ipaddress network; ``protocol``: a name; ``ports``: (low, high) pairs, empty for every port."""

    network: ipaddress._BaseNetwork
    protocol: str
    ports: Tuple[Tuple[int, int], ...]

    def __str__(self):
        return "%s to %s%s" % (self.protocol, network_text(self.network), " port " + ", ".join(map(range_text, self.ports)) if self.ports else "")


class Rules(NamedTuple):
    """What the table does. ``marks``: [(mark, Selector)]; ``notrack``: [Selector]; ``clients``: networks whose connections to ``servers``
    (networks of one address) are masqueraded when IPVS has balanced them."""

    marks: list
    notrack: list
    clients: list
    servers: list


# The text


def network_text(network):
    """A network as nft(8) writes it: an address by itself without a length."""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def range_text(pair):
    """A range of ports, or the one port."""
    return "%d" % pair[0] if pair[0] == pair[1] else "%d-%d" % pair


def merged_ranges(pairs):
    """Ranges in order, those that meet as one: nft refuses ranges of a set that overlap."""
    merged = []
    for low, high in sorted(pairs):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)


def render(rules):
    """The table as input of nft, or None where it would do nothing. In one transaction it takes the place of the one that is there."""
    marks = _by_match([(selector, "meta mark set %d" % mark) for mark, selector in rules.marks])
    notrack = _by_match([(selector, "notrack") for selector in rules.notrack])
    chains = []
    if notrack:
        chains.append(_chain("notrack_in", "filter hook prerouting priority -300", notrack))
        chains.append(_chain("notrack_out", "filter hook output priority -300", notrack))
    if marks:
        chains.append(_chain("mark_in", "filter hook prerouting priority -150", marks))
        # Of the type that looks for the route again: the mark may be a word in that.
        chains.append(_chain("mark_out", "route hook output priority -150", marks))
    snat = _snat(rules.clients, rules.servers)
    if snat:
        chains.append(_chain("snat_out", "nat hook postrouting priority 100", snat))
    if not chains:
        return None
    return "%stable %s {\n%s}\n" % (REMOVAL, TABLE, "\n".join(chains))


def _chain(name, kind, lines):
    return "\tchain %s {\n\t\ttype %s; policy accept;\n%s\t}\n" % (name, kind, "".join("\t\t%s\n" % line for line in lines))


def _by_match(pairs):
    """Rules for [(Selector, statement)]: one for all networks that have the rest in common."""
    networks = {}
    for selector, statement in pairs:
        networks.setdefault((selector.network.version, selector.protocol, merged_ranges(selector.ports), statement), []).append(selector.network)
    lines = []
    for (version, protocol, ports, statement), members in networks.items():
        match = "%s dport %s" % (protocol, _set(map(range_text, ports))) if ports else "meta l4proto %s" % protocol
        lines.append("%s daddr %s %s %s" % (_keyword(version), _networks(members), match, statement))
    return lines


def _snat(clients, servers):
    """The connections that IPVS has balanced are those whose first packet went elsewhere than to the server."""
    lines = []
    for version in (4, 6):
        sources = [each for each in clients if each.version == version]
        targets = [each for each in servers if each.version == version]
        if sources and targets:
            word, members = _keyword(version), _networks(targets)
            lines.append("%s saddr %s %s daddr %s ct original %s daddr != %s masquerade" % (word, _networks(sources), word, members, word, members))
    return lines


def _keyword(version):
    return "ip" if version == 4 else "ip6"


def _networks(networks):
    return _set(map(network_text, ipaddress.collapse_addresses(networks)))


def _set(members):
    members = list(members)
    return members[0] if len(members) == 1 else "{ %s }" % ", ".join(members)


def conflict(marks):
    """The first two of [(mark, Selector)] that give the same packet different marks, as two indexes, or None."""
    order = sorted(range(len(marks)), key=lambda each: _extent(marks[each][1].network))
    around = []  # those whose networks hold the present one; networks nest or are apart
    for each in order:
        mark, selector = marks[each]
        while around and not _holds(marks[around[-1]][1].network, selector.network):
            around.pop()
        for other in around:
            other_mark, other_selector = marks[other]
            if other_mark != mark and other_selector.protocol == selector.protocol and _meet(selector.ports, other_selector.ports):
                return tuple(sorted((other, each)))
        around.append(each)
    return None


def _extent(network):
    return network.version, int(network.network_address), network.prefixlen


def _holds(network, inner):
    return network.version == inner.version and inner.network_address in network


def _meet(ports, others):
    return not ports or not others or any(low <= other_high and other_low <= high for low, high in ports for other_low, other_high in others)


# Rules of others


class Drop(NamedTuple):
    """A rule that drops what connection tracking calls invalid: where it stands, and its text."""

    table: str
    chain: str
    rule: str

    def __str__(self):
        return "table %s, chain %s: %s" % self


_INVALID = re.compile(r"\bct state\b[^;]*\binvalid\b.*\b(drop|reject)\b")


def invalid_drops(listing):
    """[Drop] in what ``nft list ruleset`` prints. Its text, unlike its JSON, also shows what iptables has put there."""
    drops, table, chain = [], "", ""
    for line in map(str.strip, listing.splitlines()):
        words = line.split()
        if words[:1] == ["table"]:
            table = " ".join(words[1:-1])
        elif words[:1] == ["chain"]:
            chain = words[1]
        elif table != TABLE and _INVALID.search(re.sub('"[^"]*"', "", line)):
            drops.append(Drop(table, chain, line))
    return drops


# The kernel


def installed():
    """The path of nft, or None."""
    return _programs.find("nft")


def listing(context):
    """The table in the kernel as nft prints it, without counters; empty where it is not there, or where nft is missing. Raises IpvsError."""
    if not installed():
        return ""
    status, output, errors = _nft(context, ["--stateless", "list", "table"] + TABLE.split())
    # The reason that nft gives is in the language of the user.
    if status and "table %s" % TABLE in _nft(context, ["list", "tables"])[1].splitlines():
        raise IpvsError("nft list table %s failed: %s" % (TABLE, _brief(errors)))
    return "" if status else output


def ruleset(context):
    """Every rule in the kernel as nft prints it, without counters and the elements of sets; empty where nft is missing or fails."""
    status, output, _errors = _nft(context, ["--stateless", "--terse", "list", "ruleset"]) if installed() else (1, "", "")
    return "" if status else output


def as_listed(text, context):
    """How nft prints the table of this text (see ``render``): loaded and listed in a network namespace that is gone afterwards.

    So every rule is tried on this very kernel before anything is touched, and what is found can be compared as text. Raises IpvsError.
    """
    if text is None:
        return ""
    if not installed():
        raise IpvsError("nft is not installed: install the package nftables")
    script = '"$0" --file - && exec "$0" --stateless list table %s' % TABLE
    status, output, errors = context.run_command(["unshare", "--net", "sh", "-c", script, installed()], data=text)
    if status:
        raise IpvsError("this node rejects the nftables rules: %s" % _brief(errors))
    return output


def apply(text, context):
    """Put the table of this text in the place of the one that is there, in one transaction; None removes it. Raises IpvsError."""
    status, _output, errors = _nft(context, ["--file", "-"], REMOVAL if text is None else text)
    if status:
        raise IpvsError("nft: %s" % _brief(errors))


def differences(found, wanted):
    """One text for each rule that the table lacks or has too much; both as ``listing`` gives them."""
    if found == wanted:
        return []
    if not found or not wanted:
        return ["nftables table %s is %s" % (TABLE, "there and is no longer needed" if found else "missing")]
    have, want = _lines(found), _lines(wanted)
    texts = ["nftables table %s lacks: %s" % (TABLE, line) for line in want if line not in have]
    texts += ["nftables table %s should not have: %s" % (TABLE, line) for line in have if line not in want]
    return texts or ["nftables table %s has its rules in another order" % TABLE]


def _lines(text):
    """The lines of a listing, each with its chain in front; a set is one line, whatever its length."""
    lines, chain = {}, ""
    for line in re.sub(r",\s+", ", ", text).splitlines():
        line = " ".join(line.split())
        if line.startswith("chain "):
            chain = line.split()[1]
        if line not in ("", "}"):
            lines["%s: %s" % (chain, line) if chain else line] = None
    return lines


def _nft(context, words, data=None):
    return context.run_command([installed()] + words, data=data)


def _brief(errors):
    """The first message of nft, which goes on to show the line."""
    return errors.strip().splitlines()[0] if errors.strip() else "no reason was given"
