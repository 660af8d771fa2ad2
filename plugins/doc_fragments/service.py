# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of virtual services and real servers, written once and used at every depth at which they occur."""

from __future__ import annotations

import textwrap

_IDENTITY = r"""
address:
  description:
    - The virtual service's address (VIP), an IPv4 or IPv6 literal in any spelling. Host names are refused.
    - Give either this with O({depth}port), or O({depth}fwmark).
  type: str
port:
  description:
    - The virtual service's port. V(0) means every port, and needs persistence.
  type: int
protocol:
  description:
    - The protocol of a service named by address. Left out, it is V(tcp).
  type: str
  choices: [tcp, udp, sctp]
fwmark:
  description:
    - The firewall mark that names the virtual service, instead of address, port and protocol. V(1) to V(4294967295).
  type: int
family:
  description:
    - The address family of a service named by O({depth}fwmark). Left out, it is V(ipv4).
  type: str
  choices: [ipv4, ipv6]
"""

_CHECK = r"""
type:
  description:
    - V(tcp) opens a connection, V(http) and V(https) ask for a page, V(smtp) says hello, V(dns) asks a question over UDP, V(udp) sends a
      datagram and waits for an ICMP error, V(ping) sends an echo request, V(script) runs a command. V(none) checks nothing.
    - If omitted, V(tcp) for a TCP service and V(none) for any other.
  type: str
  choices: [tcp, http, https, smtp, dns, udp, ping, script, none]
port:
  description:
    - The port that is checked. If omitted, the port of the server. A server without a port, as services named by a firewall mark
      have them, needs it.
  type: int
path:
  description:
    - With V(http) and V(https), the path of the page, with its query. If omitted, V(/).
  type: str
host:
  description:
    - With V(http) and V(https), the name in the header C(Host) and for SNI. If omitted, the address of the server, and no SNI.
  type: str
status:
  description:
    - With V(http) and V(https), the status codes that count as healthy, each a code or a range such as V(200-299). If omitted, V(200-299).
  type: list
  elements: str
digest:
  description:
    - With V(http) and V(https), the MD5 digest that the body has to have, as 32 hexadecimal digits.
  type: str
text:
  description:
    - With V(http) and V(https), a regular expression that the body has to match.
    - Only what the regular expressions of Python and of PCRE2 have in common is accepted.
  type: str
name:
  description:
    - With V(dns), the name that is asked for. It is required there.
  type: str
record:
  description:
    - With V(dns), the type of record that is asked for. If omitted, V(A). An answer without records counts as healthy.
  type: str
  choices: [A, AAAA, CNAME, MX, NS, SOA, TXT]
command:
  description:
    - With V(script), the absolute path of a program and its arguments, quoted as in a shell. It is required there. Exit status 0 means
      healthy. The program runs as the user C(keepalived_script).
  type: str
interval:
  description:
    - The seconds from one check to the next. If omitted, V(2).
  type: float
timeout:
  description:
    - The seconds after which a check that got no answer has failed. If omitted, V(2).
    - With V(udp), a server whose host is down is noticed only with V(4) or more.
    - With V(script), a whole number.
  type: float
retries:
  description:
    - How many times a failed check is repeated before the server is taken out. If omitted, V(1).
  type: int
delay:
  description:
    - The seconds before a failed check is repeated. If omitted, V(1).
  type: float
"""

_SERVICE = r"""
scheduler:
  description:
    - How connections are given to real servers, for example V(rr), V(wrr), V(lc), V(wlc), V(sh), V(mh), or V(none).
    - A service that is made without it gets V(wlc).
  type: str
scheduler_flags:
  description:
    - Flags for the scheduler. For V(sh) and V(mh), V(fallback) takes another server where the chosen one is unavailable, and
      V(port) puts the source port into the hash.
    - The list is the whole set; an empty list takes all flags away.
  type: list
  elements: str
  choices: [fallback, port, flag_3]
persistence_timeout:
  description:
    - For how many seconds a client keeps the server that it was given. V(0) means no persistence.
    - The C(-p) of C(ipvsadm) without a number means V(360).
  type: int
persistence_netmask:
  description:
    - Which clients count as one for persistence, as a prefix length, or dotted for IPv4.
    - A service that is made without it gets V(32) or V(128), each client by itself.
  type: str
persistence_engine:
  description:
    - The persistence engine, for example V(sip). The empty string means none.
  type: str
one_packet:
  description:
    - Whether each packet is scheduled by itself, for UDP services and services named by a firewall mark.
  type: bool
check:
  description:
    - How the health of the real servers is checked, for P(lvs.ipvs.to_keepalived#filter). What the table holds does not depend on it.
    - If omitted, the servers of a TCP service are checked with V(tcp), those of any other service with V(none).
  type: dict
  suboptions:
@CHECK@
sorry_server:
  description:
    - The server that gets the connections while too few real servers are healthy, for P(lvs.ipvs.to_keepalived#filter).
  type: dict
  suboptions:
    address:
      description:
        - The address, an IPv4 or IPv6 literal.
      type: str
      required: true
    port:
      description:
        - The port. If omitted, the port of the service. With V(dr) and V(tun) it can be no other.
      type: int
    forward_method:
      description:
        - How packets reach it. If omitted, V(dr). keepalived has no V(local).
      type: str
      choices: [nat, dr, tun, local]
quorum:
  description:
    - The total weight of healthy servers below which the service has too few of them, for P(lvs.ipvs.to_keepalived#filter).
      If omitted, V(1).
  type: int
max_unhealthy:
  description:
    - The largest share of the total weight, in percent from V(1) to V(100), that checks may take out of the service, for
      P(lvs.ipvs.to_keepalived#filter). When more fails, the checks are taken to be wrong.
    - It cannot be combined with O({depth}quorum) or O({depth}sorry_server).
  type: int
statistics:
  description:
    - Ignored. It may be there so that what M(lvs.ipvs.ipvs_info) returns can be given back.
  type: dict
"""

_SERVER = r"""
forward_method:
  description:
    - How packets reach the real server. V(nat) rewrites the destination (masquerading), V(dr) sends the packet unchanged to
      the server's link address (direct routing), V(tun) puts it into a tunnel, V(local) is for a server on the director itself.
    - A server that is made without it gets V(dr), as with C(ipvsadm).
  type: str
  choices: [nat, dr, tun, local]
weight:
  description:
    - The server's capacity relative to the others, V(0) to V(2147483647). V(0) gives it no new connections.
    - A server that is made without it gets V(1). On a server that is there, a weight that is left out is left as a drain or a
      health checker set it.
  type: int
upper_threshold:
  description:
    - No new connections above this number. V(0) means no limit.
  type: int
lower_threshold:
  description:
    - New connections again below this number, after the upper threshold was passed. V(0) means three quarters of that.
  type: int
tunnel_type:
  description:
    - The kind of tunnel, with O({depth}forward_method=tun). Left out, a new server gets V(ipip).
  type: str
  choices: [ipip, gue, gre]
tunnel_port:
  description:
    - The UDP port of a V(gue) tunnel, which needs one.
  type: int
tunnel_checksum:
  description:
    - The checksum of a V(gue) tunnel, or (V(none) or V(csum)) of a V(gre) tunnel. Left out, a new server gets V(none).
  type: str
  choices: [none, csum, remcsum]
check:
  description:
    - How the health of this server is checked, for P(lvs.ipvs.to_keepalived#filter). What is given here overrides the options of
      the service's C(check) one by one. With another O({depth}check.type), those options of the service that it does not have are left out.
  type: dict
  suboptions:
@CHECK@
statistics:
  description:
    - Ignored. It may be there so that what M(lvs.ipvs.ipvs_info) returns can be given back.
  type: dict
"""

_SERVER_IDENTITY = r"""
address:
  description:
    - The real server's address, an IPv4 or IPv6 literal in any spelling.
  type: str
  required: true
port:
  description:
    - The real server's port. Left out, the port of the service. With V(dr) and V(tun) it can be no other.
  type: int
"""

_SERVERS = r"""
servers:
  description:
    - The real servers of the service. Each is made or edited to have what is given here.
    - A server that is not listed is left alone, unless C(purge_servers=true).
  type: list
  elements: dict
  suboptions:
"""


_LISTED = r"""
services:
  description:
    - The virtual services, each with its real servers, in the form that M(lvs.ipvs.ipvs_table) takes.
  type: list
  elements: dict
  suboptions:
"""

_LISTED_SERVERS = r"""
servers:
  description:
    - The real servers of the service.
  type: list
  elements: dict
  suboptions:
"""

_SERVICES = r"""
services:
  description:
    - The virtual services, each with its real servers. What RV(lvs.ipvs.ipvs_info#module:services) holds goes in unchanged.
    - Exactly one of O(services) and O(rules) is needed.
  type: list
  elements: dict
  suboptions:
"""


def _block(depth, *texts):
    """The texts, indented by two columns for each level below ``options``; ``depth``: the option path they stand under."""
    check = textwrap.indent(_CHECK.strip("\n"), "    ")
    joined = "".join(text.strip("\n") + "\n" for text in texts).replace("@CHECK@", check)
    joined = joined.replace("{depth}", "".join(level + "[]." for level in depth))
    return textwrap.indent(joined, "  " * (2 * len(depth) + 1))


class ModuleDocFragment:
    """The options of ``ipvs_service``, ``ipvs_server``, ``ipvs_table``, and what names a service."""


# Within the class ansible-test reads nothing but whole strings, and these are put together.
ModuleDocFragment.DOCUMENTATION = (
    "options:\n"
    + _block((), _IDENTITY, _SERVICE, _SERVERS)
    + _block(("servers",), _SERVER_IDENTITY, _SERVER)
)
ModuleDocFragment.IDENTITY = "options:\n" + _block((), _IDENTITY)
ModuleDocFragment.SERVER = "options:\n" + _block((), _SERVER_IDENTITY, _SERVER)
ModuleDocFragment.SERVICES = (
    "options:\n"
    + _block((), _SERVICES)
    + _block(("services",), _IDENTITY, _SERVICE, _SERVERS)
    + _block(("services", "servers"), _SERVER_IDENTITY, _SERVER)
)
# for modules that read the list and leave the table alone
ModuleDocFragment.LISTED = (
    "options:\n"
    + _block((), _LISTED)
    + _block(("services",), _IDENTITY, _SERVICE, _LISTED_SERVERS)
    + _block(("services", "servers"), _SERVER_IDENTITY, _SERVER)
)
