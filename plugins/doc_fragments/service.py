# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made by tests/tools/doc_fragments.py from services.py."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of one virtual service."""

    DOCUMENTATION = r"""
options:
  address:
    description:
      - The virtual service's address (VIP), an IPv4 or IPv6 literal in any spelling. Host names are refused.
      - Give either this with O(port), or O(fwmark).
    type: str
  port:
    description:
      - The virtual service's port. V(0) means every port, and needs persistence.
    type: int
  protocol:
    description:
      - The protocol of a service identified by address. If omitted, V(tcp).
    type: str
    choices: [tcp, udp, sctp]
  fwmark:
    description:
      - The firewall mark that names the virtual service, instead of address, port and protocol, from V(1) to V(4294967295).
    type: int
  family:
    description:
      - The address family of a service named by O(fwmark). If omitted, V(ipv4).
    type: str
    choices: [ipv4, ipv6]
  scheduler:
    description:
      - How connections are distributed over the real servers, for example V(rr), V(wrr), V(lc), V(wlc), V(sh), V(mh), or V(none).
      - A service that is created without it gets V(wlc).
    type: str
  scheduler_flags:
    description:
      - Flags for the scheduler. For V(sh) and V(mh), V(fallback) selects another server if the chosen one is unavailable, and
        V(port) includes the source port in the hash.
      - The list is complete. An empty list clears all flags.
    type: list
    elements: str
    choices: [fallback, port, flag_3]
  persistence_timeout:
    description:
      - The number of seconds for which a client keeps its real server. V(0) means no persistence.
      - C(ipvsadm -p) without a number means V(360).
    type: int
  persistence_netmask:
    description:
      - The granularity of persistence, as a prefix length or, for IPv4, as a netmask. Clients of the same network share a real server.
      - A service that is created without it gets V(32) or V(128), which treats each client on its own.
    type: str
  persistence_engine:
    description:
      - The persistence engine, for example V(sip). The empty string means none.
    type: str
  one_packet:
    description:
      - Whether each packet is scheduled on its own, for UDP services and services identified by a firewall mark.
    type: bool
  check:
    description:
      - How the health of the real servers is checked, for P(lvs.ipvs.to_keepalived#filter). What the table holds does not depend on it.
      - If omitted, the servers of a TCP service are checked with V(tcp), those of any other service with V(none).
    type: dict
    suboptions:
      type:
        description:
          - V(tcp) opens a connection, V(http) and V(https) request a page, V(smtp) greets the server, V(dns) sends a query over UDP, V(udp) sends a
            datagram and waits for an ICMP error, V(ping) sends an echo request, V(script) runs a command. V(none) checks nothing.
          - If omitted, V(tcp) for a TCP service and V(none) for any other.
        type: str
        choices: [tcp, http, https, smtp, dns, udp, ping, script, none]
      port:
        description:
          - The port that is checked. If omitted, the port of the server. It is required for a server without a port,
            as in services identified by a firewall mark.
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
          - With V(http) and V(https), the status codes of a healthy server, each a code or a range such as V(200-299). If omitted, V(200-299).
        type: list
        elements: str
      digest:
        description:
          - With V(http) and V(https), the expected MD5 digest of the body, as 32 hexadecimal digits.
        type: str
      text:
        description:
          - With V(http) and V(https), a regular expression that the body must match.
          - Only what the regular expressions of Python and of PCRE2 have in common is accepted.
        type: str
      name:
        description:
          - With V(dns), the name to query. V(dns) requires it.
        type: str
      record:
        description:
          - With V(dns), the type of record to query. If omitted, V(A). A server that answers without a record is healthy, too.
        type: str
        choices: [A, AAAA, CNAME, MX, NS, SOA, TXT]
      command:
        description:
          - With V(script), the absolute path of a program and its arguments, quoted as in a shell. V(script) requires it. Exit status 0 means
            healthy. The program runs as the user C(keepalived_script).
        type: str
      interval:
        description:
          - The number of seconds between checks. If omitted, V(2).
        type: float
      timeout:
        description:
          - The number of seconds after which a check without an answer fails. If omitted, V(2).
          - With V(udp), a server whose host is down is noticed only with V(4) or more.
          - With V(script), a whole number.
        type: float
      retries:
        description:
          - How many times a failed check is repeated before the server is taken out. If omitted, V(1).
        type: int
      delay:
        description:
          - The number of seconds before a failed check is repeated. If omitted, V(1).
        type: float
  sorry_server:
    description:
      - The server that receives the connections while too few real servers are healthy, for P(lvs.ipvs.to_keepalived#filter).
    type: dict
    suboptions:
      address:
        description:
          - The address, an IPv4 or IPv6 literal.
        type: str
        required: true
      port:
        description:
          - The port. If omitted, the port of the service. With V(dr) and V(tun), it must be the port of the service.
        type: int
      forward_method:
        description:
          - How packets reach it. If omitted, V(dr). keepalived does not support V(local).
        type: str
        choices: [nat, dr, tun, local]
  quorum:
    description:
      - The total weight of healthy servers below which the service has too few of them, for P(lvs.ipvs.to_keepalived#filter).
        If omitted, V(1).
    type: int
  max_unhealthy:
    description:
      - The largest share of the total weight, in percent from V(1) to V(100), that checks may take out of the service. If more
        servers fail, the checks are assumed to be wrong. M(lvs.ipvs.ipvs_keepalived) enforces this limit.
      - The servers that fail first are taken out, as many as the share has room for. Servers that fail later stay in service
        until another one recovers and makes room.
      - A drained server counts neither for the total weight nor for the share. It never gets weight.
      - It cannot be combined with O(quorum) or O(sorry_server).
    type: int
  statistics:
    description:
      - Ignored. It is accepted so that you can pass back what M(lvs.ipvs.ipvs_info) returns.
    type: dict
  servers:
    description:
      - The real servers of the service.
    type: list
    elements: dict
    suboptions:
      address:
        description:
          - The real server's address, an IPv4 or IPv6 literal in any spelling.
        type: str
        required: true
      port:
        description:
          - The real server's port. If omitted, the port of the service. With V(dr) and V(tun), it must be the port of the service.
        type: int
      forward_method:
        description:
          - How packets reach the real server. V(nat) rewrites the destination (masquerading), V(dr) sends the packet unchanged to
            the server's link address (direct routing), V(tun) encapsulates it, V(local) is for a server on the director itself.
          - A server that is created without it gets V(dr), as with C(ipvsadm).
        type: str
        choices: [nat, dr, tun, local]
      weight:
        description:
          - The server's capacity relative to the others, from V(0) to V(2147483647). A server with V(0) gets no new connections.
          - A server that is created without it gets V(1). If omitted, an existing server keeps its weight, for example the one that a drain or a
            health checker has set.
        type: int
      upper_threshold:
        description:
          - The number of connections above which the server gets no new ones. V(0) means no limit.
        type: int
      lower_threshold:
        description:
          - The number of connections below which the server gets new ones again after it has exceeded the upper threshold. V(0)
            means three quarters of the upper threshold.
        type: int
      tunnel_type:
        description:
          - The kind of tunnel, with O(servers[].forward_method=tun). If omitted, a new server gets V(ipip).
        type: str
        choices: [ipip, gue, gre]
      tunnel_port:
        description:
          - The UDP port of a V(gue) tunnel, which needs one.
        type: int
      tunnel_checksum:
        description:
          - The checksum of a V(gue) tunnel, or (V(none) or V(csum)) of a V(gre) tunnel. If omitted, a new server gets V(none).
        type: str
        choices: [none, csum, remcsum]
      check:
        description:
          - How the health of this server is checked, for P(lvs.ipvs.to_keepalived#filter). These options override those of
            the service's C(check), one by one.
          - If O(servers[].check.type) differs from that of the service, the options that do not belong to this type are not
            taken over.
        type: dict
        suboptions:
          type:
            description:
              - V(tcp) opens a connection, V(http) and V(https) request a page, V(smtp) greets the server, V(dns) sends a query over UDP, V(udp) sends a
                datagram and waits for an ICMP error, V(ping) sends an echo request, V(script) runs a command. V(none) checks nothing.
              - If omitted, V(tcp) for a TCP service and V(none) for any other.
            type: str
            choices: [tcp, http, https, smtp, dns, udp, ping, script, none]
          port:
            description:
              - The port that is checked. If omitted, the port of the server. It is required for a server without a port,
                as in services identified by a firewall mark.
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
              - With V(http) and V(https), the status codes of a healthy server, each a code or a range such as V(200-299). If omitted, V(200-299).
            type: list
            elements: str
          digest:
            description:
              - With V(http) and V(https), the expected MD5 digest of the body, as 32 hexadecimal digits.
            type: str
          text:
            description:
              - With V(http) and V(https), a regular expression that the body must match.
              - Only what the regular expressions of Python and of PCRE2 have in common is accepted.
            type: str
          name:
            description:
              - With V(dns), the name to query. V(dns) requires it.
            type: str
          record:
            description:
              - With V(dns), the type of record to query. If omitted, V(A). A server that answers without a record is healthy, too.
            type: str
            choices: [A, AAAA, CNAME, MX, NS, SOA, TXT]
          command:
            description:
              - With V(script), the absolute path of a program and its arguments, quoted as in a shell. V(script) requires it. Exit status 0 means
                healthy. The program runs as the user C(keepalived_script).
            type: str
          interval:
            description:
              - The number of seconds between checks. If omitted, V(2).
            type: float
          timeout:
            description:
              - The number of seconds after which a check without an answer fails. If omitted, V(2).
              - With V(udp), a server whose host is down is noticed only with V(4) or more.
              - With V(script), a whole number.
            type: float
          retries:
            description:
              - How many times a failed check is repeated before the server is taken out. If omitted, V(1).
            type: int
          delay:
            description:
              - The number of seconds before a failed check is repeated. If omitted, V(1).
            type: float
      statistics:
        description:
          - Ignored. It is accepted so that you can pass back what M(lvs.ipvs.ipvs_info) returns.
        type: dict
"""

    IDENTITY = r"""
options:
  address:
    description:
      - The virtual service's address (VIP), an IPv4 or IPv6 literal in any spelling. Host names are refused.
      - Give either this with O(port), or O(fwmark).
    type: str
  port:
    description:
      - The virtual service's port. V(0) means every port, and needs persistence.
    type: int
  protocol:
    description:
      - The protocol of a service identified by address. If omitted, V(tcp).
    type: str
    choices: [tcp, udp, sctp]
  fwmark:
    description:
      - The firewall mark that names the virtual service, instead of address, port and protocol, from V(1) to V(4294967295).
    type: int
  family:
    description:
      - The address family of a service named by O(fwmark). If omitted, V(ipv4).
    type: str
    choices: [ipv4, ipv6]
"""
