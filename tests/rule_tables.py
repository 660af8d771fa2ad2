# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the rule language share: random tables, and rule texts with what ipvsadm 1.31 makes of them.

tests/unit/test_rules.py holds our reader to it, tests/integration/test_rules_oracle.py holds ipvsadm to the same.
"""

from __future__ import annotations

import ipaddress

from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._table._literals import IPV4, IPV6, host_mask, netmask_text
from ansible_collections.lvs.ipvs.plugins.module_utils._table._model import (
    MAX_THRESHOLD,
    MAX_WEIGHT,
    PROTOCOLS,
    SCHEDULER_FLAGS,
    Entry,
    Server,
    ServerId,
    Service,
    ServiceId,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._table._settings import MAX_TIMEOUT, Daemon, Timeouts

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh", "none")


# ---------------------------------------------------------------------------------------------------------------------
# random tables: whole and valid, of what the kernel has and ipvsadm has words for

# few values that are likely, so that services and servers resemble each other; the ends of each range among them
ports = st.sampled_from([1, 80, 443, 65535]) | st.integers(1, 65535)
ipv4_addresses = (st.integers(1, 3) | st.integers(1, 254)).map(lambda number: f"198.51.100.{number}")
ipv6_addresses = (st.integers(1, 3) | st.integers(1, 2**96 - 1)).map(lambda number: str(ipaddress.IPv6Address((0x20010DB8 << 96) + number)))
addresses = ipv4_addresses | ipv6_addresses
limits = st.integers(0, MAX_THRESHOLD)
thresholds = st.just((0, 0)) | st.tuples(limits, limits).map(lambda pair: tuple(sorted(pair, reverse=True)))


@st.composite
def service_ids(draw):
    if draw(st.booleans()):
        mark = draw(st.sampled_from([1, 2**31 - 1, 2**31, 2**32 - 1]) | st.integers(1, 2**32 - 1))
        return ServiceId(draw(st.sampled_from([IPV4, IPV6])), 0, "", 0, mark)
    address = draw(addresses)
    return ServiceId(IPV6 if ":" in address else IPV4, draw(st.sampled_from(sorted(PROTOCOLS.values()))), address, draw(st.just(0) | ports), 0)


@st.composite
def services(draw, ident):
    needs_persistence = not ident.fwmark and ident.port == 0
    timeout, netmask = 0, host_mask(ident.family)
    if needs_persistence or draw(st.booleans()):
        timeout = draw(st.sampled_from([1, 360, MAX_TIMEOUT]) | st.integers(1, MAX_TIMEOUT))
        masks = st.integers(1, 128).map(str) if ident.family == IPV6 else st.integers(0, 2**32 - 1).map(netmask_text) | st.integers(0, 32).map(str)
        netmask = draw(st.just(netmask) | masks)
    flags = draw(st.sets(st.sampled_from(SCHEDULER_FLAGS)))
    return Service(
        ident,
        draw(st.sampled_from(SCHEDULERS)),
        tuple(flag for flag in SCHEDULER_FLAGS if flag in flags),
        timeout,
        netmask,
        draw(st.sampled_from(["", "", "", "sip"])),
        draw(st.booleans()) if ident.fwmark or ident.protocol == PROTOCOLS["udp"] else False,
    )


@st.composite
def servers(draw, service_id):
    method = draw(st.sampled_from(["nat", "dr", "tun"]))
    address = draw(addresses if method == "tun" else ipv6_addresses if service_id.family == IPV6 else ipv4_addresses)
    port = draw(st.just(service_id.port) | ports) if method == "nat" or service_id.fwmark else service_id.port
    upper, lower = draw(thresholds)
    tunnel_type, tunnel_port, checksum = "ipip", 0, "none"
    if method == "tun":
        tunnel_type = draw(st.sampled_from(["ipip", "gue", "gre"]))
        tunnel_port = draw(ports) if tunnel_type == "gue" else 0
        checksum = draw(st.sampled_from({"ipip": ["none"], "gre": ["none", "csum"], "gue": ["none", "csum", "remcsum"]}[tunnel_type]))
    weight = draw(st.sampled_from([0, 1, MAX_WEIGHT]) | st.integers(0, MAX_WEIGHT))
    return Server(ServerId(address, port), method, weight, upper, lower, tunnel_type, tunnel_port, checksum)


@st.composite
def entries(draw, ident):
    found = draw(st.lists(servers(ident), max_size=4))
    return Entry(draw(services(ident)), {server.id: server for server in found})


@st.composite
def tables(draw):
    idents = draw(st.lists(service_ids(), max_size=5, unique=True))
    return {ident: draw(entries(ident)) for ident in idents}


timeouts = st.builds(Timeouts, *[st.none() | st.integers(1, MAX_TIMEOUT)] * 3)


@st.composite
def daemons(draw, role, interfaces):
    group = draw(st.sampled_from(["224.0.0.81", "239.255.255.255", "ff02::81", "ff1e::1:2"]))
    longest = 65535 - (48 if ":" in group else 28)
    shortest = 1024 if role == "backup" else 1
    return Daemon(
        role,
        draw(interfaces),
        draw(st.integers(0, 255)),
        draw(st.none() | st.integers(shortest, longest)),
        group,
        draw(ports),
        draw(st.integers(1, 255)),
    )


# ---------------------------------------------------------------------------------------------------------------------
# rule texts. TCP and MARKED stand in front where a service has to be there.

TCP = "-A -t 198.51.100.1:80 -s wlc\n"
SERVER = "-a -t 198.51.100.1:80 -r 198.51.100.11:80"
MARKED = "-A -f 7 -s wlc\n"
MARKED6 = "-A -f 7 -6 -s wlc\n"

# (text, what it makes of an empty table, as our renderer writes it)
SAME = [
    # spellings that popt takes
    ("-At 198.51.100.1:80", TCP),
    ("-At198.51.100.1:80", TCP),
    ("-At=198.51.100.1:80", TCP),
    ("ipvsadm -A -t 198.51.100.1:80", TCP),
    ("  \tipvsadm   -A \t-t  198.51.100.1:80  ", TCP),
    ("\n\n-A -t 198.51.100.1:80\n\n", TCP),
    ("--add-service --tcp-service 198.51.100.1:80 --scheduler wlc", TCP),
    ("--add-service --tcp-service=198.51.100.1:80 --scheduler=wlc", TCP),
    ("-A -s rr -p=77 -t=198.51.100.1:80", "-A -t 198.51.100.1:80 -s rr -p 77\n"),
    ("-A -srr -p77 -t198.51.100.1:80", "-A -t 198.51.100.1:80 -s rr -p 77\n"),
    ("-A -t 198.51.100.1:080", TCP),
    # persistence
    ("-A -t 198.51.100.1:80 -p", "-A -t 198.51.100.1:80 -s wlc -p 360\n"),
    ("-A -t 198.51.100.1:80 --persistent", "-A -t 198.51.100.1:80 -s wlc -p 360\n"),
    ("-A -t 198.51.100.1:80 --persistent 5", "-A -t 198.51.100.1:80 -s wlc -p 5\n"),
    ("-A -t 198.51.100.1:80 --persistent=5", "-A -t 198.51.100.1:80 -s wlc -p 5\n"),
    ("-A -t 198.51.100.1:80 -p -s rr", "-A -t 198.51.100.1:80 -s rr -p 360\n"),
    ("-A -t 198.51.100.1:80 -p -M 255.255.0.0", "-A -t 198.51.100.1:80 -s wlc -p 360 -M 255.255.0.0\n"),
    ("-A -t 198.51.100.1:80 -p 5 -M 255.255.0.255", "-A -t 198.51.100.1:80 -s wlc -p 5 -M 255.255.0.255\n"),
    ("-A -t 198.51.100.1:80 -p 5 -M 255.255.255.255", "-A -t 198.51.100.1:80 -s wlc -p 5\n"),
    ("-A -t [2001:db8::1]:80 -p 5 --netmask 64", "-A -t [2001:db8::1]:80 -s wlc -p 5 -M 64\n"),
    ("-A -t 198.51.100.1:80 -p 2678400", "-A -t 198.51.100.1:80 -s wlc -p 2678400\n"),
    ("-A -t 198.51.100.1:80 --pe sip", "-A -t 198.51.100.1:80 -s wlc --pe sip\n"),
    ("-A -t 198.51.100.1:80 -p 5 --pe=sip", "-A -t 198.51.100.1:80 -s wlc -p 5 --pe sip\n"),
    ("-A -t 198.51.100.1 -p", "-A -t 198.51.100.1:0 -s wlc -p 360\n"),
    ("-A -t 2001:db8::1 -p", "-A -t [2001:db8::1]:0 -s wlc -p 360\n"),
    # protocols, marks
    ("-A -u 198.51.100.1:53 -o", "-A -u 198.51.100.1:53 -s wlc -o\n"),
    ("-A --udp-service 198.51.100.1:53 --ops", "-A -u 198.51.100.1:53 -s wlc -o\n"),
    ("-A --sctp-service 198.51.100.1:80 -s none", "-A --sctp-service 198.51.100.1:80 -s none\n"),
    ("-A -t [2001:0DB8:0::1]:80", "-A -t [2001:db8::1]:80 -s wlc\n"),
    ("-A -t 198.51.100.1:http", TCP),
    ("-A -t [2001:db8::1]:http", "-A -t [2001:db8::1]:80 -s wlc\n"),
    ("-A -f 7 -o", "-A -f 7 -s wlc -o\n"),
    ("-A --fwmark-service 7 --ipv6", MARKED6),
    ("-A -f 7 -6 -6", MARKED6),
    ("-A -f 4294967295", "-A -f 4294967295 -s wlc\n"),
    # scheduler flags
    ("-A -t 198.51.100.1:80 -s sh -b sh-port,sh-fallback", "-A -t 198.51.100.1:80 -s sh -b sh-fallback,sh-port\n"),
    ("-A -t 198.51.100.1:80 -b sh-port -s sh", "-A -t 198.51.100.1:80 -s sh -b sh-port\n"),
    ("-A -t 198.51.100.1:80 -s sh -b flag-1,flag-2", "-A -t 198.51.100.1:80 -s sh -b sh-fallback,sh-port\n"),
    ("-A -t 198.51.100.1:80 -s sh -b flag-3", "-A -t 198.51.100.1:80 -s sh -b flag-3\n"),
    ("-A -t 198.51.100.1:80 -s sh -b sh-port,sh-port,", "-A -t 198.51.100.1:80 -s sh -b sh-port\n"),
    ("-A -t 198.51.100.1:80 -s mh --sched-flags mh-port,flag-3", "-A -t 198.51.100.1:80 -s mh -b mh-port,flag-3\n"),
    ("-A -t 198.51.100.1:80 -b flag-3,flag-1,flag-2", "-A -t 198.51.100.1:80 -s wlc -b flag-1,flag-2,flag-3\n"),
    # servers
    (TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11", TCP + SERVER + " -g -w 1\n"),
    (TCP + "-at 198.51.100.1:80 -r198.51.100.11:8080 -mw4", TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11:8080 -m -w 4\n"),
    (TCP + "-at 198.51.100.1:80 -r198.51.100.11:8080 -mw=4", TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11:8080 -m -w 4\n"),
    (TCP + SERVER + " -w0 -x5 -y=3 -m", TCP + SERVER + " -m -w 0 -x 5 -y 3\n"),
    (TCP + SERVER + " -w 2147483647 -x 65535 -y 65535", TCP + SERVER + " -g -w 2147483647 -x 65535 -y 65535\n"),
    (
        TCP + "--add-server --tcp-service 198.51.100.1:80 --real-server 198.51.100.11 --gatewaying --weight 3 --u-threshold 8 --l-threshold 2",
        TCP + SERVER + " -g -w 3 -x 8 -y 2\n",
    ),
    (TCP + SERVER + " --masquerading", TCP + SERVER + " -m -w 1\n"),
    (TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11:http -m", TCP + SERVER + " -m -w 1\n"),
    (TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11:0 -m", TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11:0 -m -w 1\n"),
    (TCP + SERVER + " -i", TCP + SERVER + " -i -w 1 --tun-type ipip\n"),
    (TCP + SERVER + " --ipip --tun-type=gre", TCP + SERVER + " -i -w 1 --tun-type gre --tun-nocsum\n"),
    (TCP + SERVER + " -i --tun-type gre --tun-csum", TCP + SERVER + " -i -w 1 --tun-type gre --tun-csum\n"),
    (TCP + SERVER + " -i --tun-type gue --tun-port 6080", TCP + SERVER + " -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum\n"),
    (TCP + SERVER + " --tun-type gue --tun-port=6080 --tun-csum -i", TCP + SERVER + " -i -w 1 --tun-type gue --tun-port 6080 --tun-csum\n"),
    (TCP + SERVER + " -i --tun-type gue --tun-port 1 --tun-remcsum", TCP + SERVER + " -i -w 1 --tun-type gue --tun-port 1 --tun-remcsum\n"),
    (TCP + "-a -t 198.51.100.1:80 -r 2001:db8::5 -i", TCP + "-a -t 198.51.100.1:80 -r [2001:db8::5]:80 -i -w 1 --tun-type ipip\n"),
    (MARKED + "-a -f 7 -r 198.51.100.11 -m", MARKED + "-a -f 7 -r 198.51.100.11:0 -m -w 1\n"),
    (MARKED + "-a -f 7 -r 198.51.100.11:80 -g", MARKED + "-a -f 7 -r 198.51.100.11:80 -g -w 1\n"),
    (MARKED6 + "-a -f 7 -6 -r 2001:db8::5 -m", MARKED6 + "-a -f 7 -6 -r [2001:db8::5]:0 -m -w 1\n"),
    (MARKED6 + "-a -f 7 -6 -r 198.51.100.11 -i", MARKED6 + "-a -f 7 -6 -r 198.51.100.11:0 -i -w 1 --tun-type ipip\n"),
    # edits replace the whole, deletions, clearing
    ("-A -t 198.51.100.1:80 -s rr -p 5\n-E -t 198.51.100.1:80", TCP),
    (TCP + SERVER + " -m\n--edit-service -t 198.51.100.1:80 -s rr", "-A -t 198.51.100.1:80 -s rr\n" + SERVER + " -m -w 1\n"),
    (TCP + SERVER + " -m -w 5 -x 7\n-e -t 198.51.100.1:80 -r 198.51.100.11", TCP + SERVER + " -g -w 1\n"),
    (TCP + SERVER + "\n--edit-server -t 198.51.100.1:80 -r 198.51.100.11 -w 0", TCP + SERVER + " -g -w 0\n"),
    (TCP + SERVER + "\n-d -t 198.51.100.1:80 -r 198.51.100.11", TCP),
    (TCP + SERVER + "\n--delete-server -t 198.51.100.1:80 -r 198.51.100.11:80", TCP),
    (TCP + SERVER + "\n-D -t 198.51.100.1:80", ""),
    (TCP + MARKED + "--delete-service -f 7", TCP),
    (MARKED + "-C\n" + TCP, TCP),
    (MARKED + "--clear", ""),
]

# Texts that both refuse: (text, column, word, part of our message); the line is the text's last
REFUSED = [
    # words
    ("-t 198.51.100.1:80 -A", 1, "-t", "begins with its command"),
    ("-tA 198.51.100.1:80", 1, "-tA", "begins with its command"),
    ("web -A", 1, "web", "begins with its command"),
    ("-A -t 198.51.100.1:80 -A", 23, "-A", "has -A already"),
    ("-AD -t 198.51.100.1:80", 1, "-AD", "has -A already"),
    ("-A -t 198.51.100.1:80 extra", 23, "extra", "does not belong to any option"),
    ("-A -t 198.51.100.1:80 -", 23, "-", "does not belong to any option"),
    ("-A -t 198.51.100.1:80 --nosuch", 23, "--nosuch", "no such option"),
    ("-A -t 198.51.100.1:80 --nosuch=1", 23, "--nosuch=1", "no such option"),
    ("-A -t 198.51.100.1:80 --sched rr", 23, "--sched", "no such option"),
    ("-A -t 198.51.100.1:80 -oq", 23, "-oq", "no option -q"),
    ("-A -t 198.51.100.1:80 -n", 23, "-n", "no option -n"),
    ("-A -u 198.51.100.1:80 --ops=1", 23, "--ops=1", "takes no value"),
    ("-A -t", 4, "-t", "needs a value"),
    ("-A -t 198.51.100.1:80 --scheduler", 23, "--scheduler", "needs a value"),
    ("-A -t 198.51.100.1:80 -w 5", 23, "-w", "no place in a rule with -A"),
    (TCP + SERVER + " -s rr", 43, "-s", "no place in a rule with -a"),
    (TCP + SERVER + "\n-d -t 198.51.100.1:80 -r 198.51.100.11 -m", 40, "-m", "no place in a rule with -d"),
    (TCP + "-D -t 198.51.100.1:80 -s rr", 23, "-s", "no place in a rule with -D"),
    ("-C -t 198.51.100.1:80", 4, "-t", "no place in a rule with -C"),
    ("-A -t 198.51.100.1:80 -s rr -s wrr", 29, "-s", "give -s once"),
    ("-A -t 198.51.100.1:80 -u 198.51.100.1:80", 23, "-u", "-t and -u exclude each other"),
    (TCP + SERVER + " -g -m", 46, "-m", "-g and -m exclude each other"),
    ('-A -t "198.51.100.1:80"', 7, '"198.51.100.1:80"', "no quotes"),
    ("-A -t 198.51.100.1:80 -s 'rr'", 26, "'rr'", "no quotes"),
    ("-A -t 198.51.100.1:80 \\", 23, "\\", "does not belong to any option"),
    # services
    ("-A", 1, "-A", "name the virtual service"),
    ("ipvsadm -A -s rr", 9, "-A", "name the virtual service"),
    ("-A -t 198.51.100.1", 7, "198.51.100.1", "set -p"),
    ("-A -t 198.51.100.1:65536", 7, "198.51.100.1:65536", "0 to 65535"),
    ("-A -t 198.51.100.1:nosuch", 7, "198.51.100.1:nosuch", "no tcp port 'nosuch'"),
    ("-A -u 198.51.100.1:http", 7, "198.51.100.1:http", "no udp port 'http'"),
    ("-A -t 198.51.100.1: -p", 7, "198.51.100.1:", "no tcp port ''"),
    ("-A -t 198.51.100.300:80", 7, "198.51.100.300:80", "give an IPv4 or IPv6 address"),
    ("-A -t [198.51.100.1]:80", 7, "[198.51.100.1]:80", "[2001:db8::1]:80"),
    ("-A -t [2001:db8::1:80 -p", 7, "[2001:db8::1:80", "[2001:db8::1]:80"),
    ("-A -t [2001:db8::1]80 -p", 7, "[2001:db8::1]80", "[2001:db8::1]:80"),
    ("-A -t [fe80::1%lo]:80", 7, "[fe80::1%lo]:80", "give an IPv4 or IPv6 address"),
    ("-A -f 0", 7, "0", "1 to 4294967295"),
    ("-A -f 4294967296", 7, "4294967296", "1 to 4294967295"),
    ("-A -f 0x10", 7, "0x10", "a number is needed"),
    ("-A -f 99999999999999999999", 7, "99999999999999999999", "a number is needed"),
    ("-A -t 198.51.100.1:80 -6", 23, "-6", "-6 is only valid with -f"),
    ("-A -t 198.51.100.1:80 -p 0", 26, "0", "1 or more"),
    ("-A -t 198.51.100.1:80 -p=", 23, "-p=", "a number is needed"),
    ("-A -t 198.51.100.1:80 -pM", 23, "-pM", "a number is needed"),
    ("-A -t 198.51.100.1:80 -p 2678401", 26, "2678401", "0 to 2678400"),
    ("-A -t [2001:db8::1]:80 -p 5 -M 129", 32, "129", "1 to 128"),
    ("-A -t [2001:db8::1]:80 -p 5 -M 0", 32, "0", "1 to 128"),
    ("-A -t 198.51.100.1:80 -p 5 -M 255.x.0.0", 31, "255.x.0.0", "dotted"),
    ("-A -t 198.51.100.1:80 -o", 23, "-o", "for UDP services"),
    ("-A -t 198.51.100.1:80 -s mh -b sh-port", 32, "sh-port", "scheduler mh has no such flag; it knows flag-1"),
    ("-A -t 198.51.100.1:80 -b flag-1,sh-port", 33, "sh-port", "scheduler wlc has no such flag"),
    ("-A -t 198.51.100.1:80 -s sh -b sh-port,nosuch", 40, "nosuch", "there is no such flag"),
    ("-A -t 198.51.100.1:80 -s sixteen-letters-", 26, "sixteen-letters-", "1 to 15"),
    (TCP + TCP.strip(), 7, "198.51.100.1:80", "adds this service already"),
    ("-E -t 198.51.100.1:80", 7, "198.51.100.1:80", "no line above adds this service"),
    ("-D -t 198.51.100.1:80", 7, "198.51.100.1:80", "no line above adds this service"),
    # servers
    (TCP + "-a -t 198.51.100.1:80", 1, "-a", "name the real server"),
    (SERVER, 7, "198.51.100.1:80", "no line above adds this service"),
    (MARKED + "-a -f 7 -6 -r 2001:db8::5", 7, "7", "no line above adds this service"),
    (TCP + SERVER + "\n" + SERVER, 26, "198.51.100.11:80", "adds this server already"),
    (TCP + "-e -t 198.51.100.1:80 -r 198.51.100.11", 26, "198.51.100.11", "no line above adds this server"),
    (TCP + "-d -t 198.51.100.1:80 -r 198.51.100.11", 26, "198.51.100.11", "no line above adds this server"),
    (TCP + SERVER + " -w -1", 46, "-1", "a number is needed"),
    (TCP + SERVER + " -w 2147483648", 46, "2147483648", "0 to 2147483647"),
    (TCP + SERVER + " -w 1x", 46, "1x", "a number is needed"),
    (TCP + SERVER + " -w=", 43, "-w=", "a number is needed"),
    (TCP + SERVER + " -y 80", 46, "80", "above -x"),
    (TCP + SERVER + " -x 5 -y 80", 51, "80", "above -x, which is 5"),
    (TCP + SERVER + " --tun-type gre", 54, "gre", "need -i (tun)"),
    (TCP + SERVER + " -m --tun-nocsum", 46, "--tun-nocsum", "need -i (tun)"),
    (TCP + SERVER + " -i --tun-type GRE", 57, "GRE", "ipip, gue, gre"),
    (TCP + SERVER + " -i --tun-type gue", 57, "gue", "needs its UDP port"),
    (TCP + SERVER + " -i --tun-type gue --tun-port 0", 72, "0", "needs its UDP port"),
    (TCP + SERVER + " -i --tun-port 6080", 57, "6080", "only a gue tunnel has a port"),
    (TCP + SERVER + " -i --tun-csum", 46, "--tun-csum", "ipip tunnels have no checksum"),
    (TCP + SERVER + " -i --tun-type gre --tun-remcsum", 61, "--tun-remcsum", "gre tunnels none or csum"),
    (TCP + SERVER + " -i --tun-csum --tun-nocsum", 57, "--tun-nocsum", "exclude each other"),
    (TCP + "-a -t 198.51.100.1:80 -r 2001:db8::5", 26, "2001:db8::5", "needs -i (tun)"),
    # timeouts and daemons
    ("--set 1 2", 1, "--set", "three numbers"),
    ("--set 1 2 3 4", 13, "4", "three numbers"),
    ("--set=1 2 3", 1, "--set=1", "takes no value"),
    ("--set 1 2 3 -w 5", 13, "-w", "no place in a rule with --set"),
    ("--set 1 2 x", 11, "x", "a number is needed"),
    ("--set 1 2678401 3", 9, "2678401", "0 to 2678400"),
    ("--set 1 2 -1", 11, "-1", "no option -1"),
    ("--start-daemon", 1, "--start-daemon", "needs a value"),
    ("--start-daemon both", 16, "both", "master or backup"),
    ("--stop-daemon both", 15, "both", "master or backup"),
    ("--stop-daemon master", 15, "master", "no line above starts this daemon"),
    ("--stop-daemon master --mcast-interface lo", 22, "--mcast-interface", "no place"),
    ("--start-daemon master --mcast-interface lo --syncid 256", 53, "256", "0 to 255"),
    ("--start-daemon master --mcast-interface lo --sync-maxlen 0", 58, "0", "1 to 65507"),
    ("--start-daemon master --mcast-interface lo --mcast-port 0", 57, "0", "1 to 65535"),
    ("--start-daemon master --mcast-interface lo --mcast-ttl 256", 56, "256", "1 to 255"),
    ("--start-daemon master --mcast-interface lo --mcast-group 198.51.100.5", 58, "198.51.100.5", "multicast address"),
    ("--start-daemon master --mcast-interface lo -w 5", 44, "-w", "no place"),
]

# Texts that we take and ipvsadm does not, each for the reader's good: (text, what it makes)
OURS_ALONE = [
    ("# a comment\n-A -t 198.51.100.1:80", TCP),
    ("-A -t 198.51.100.1:80 # a comment, 'quoted'", TCP),
    ("-A -f -2147483648 # as ipvsadm -S prints 2147483648", "-A -f 2147483648 -s wlc\n"),
    ("-A -f -1 -6", "-A -f 4294967295 -6 -s wlc\n"),
    ("-A -6 -f 7", MARKED6),
    ("-A -t [2001:db8::1] -p", "-A -t [2001:db8::1]:0 -s wlc -p 360\n"),
    (TCP + SERVER + " -i --tun-nocsum", TCP + SERVER + " -i -w 1 --tun-type ipip\n"),
]

# Texts that ipvsadm takes for something that the writer hardly meant, and we refuse: (text, column, word, part of our message)
REFUSED_BY_US_ALONE = [
    ("-A -t localhost:80", 7, "localhost:80", "host names are not resolved"),
    ("-A -t 198.51.5:80", 7, "198.51.5:80", "give an IPv4 or IPv6 address"),  # 198.51.0.5
    ("-A -t 198.51.100.1:+80", 7, "198.51.100.1:+80", "no tcp port '+80'"),
    ("-A -t 198.51.100.1:80 -p 5 -M 24", 31, "24", "dotted"),  # 0.0.0.24
    ("-A -t 198.51.100.1:80 -M 255.255.0.0", 26, "255.255.0.0", "a netmask needs persistence: set -p"),  # without effect
    (TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11:8080 -g", 26, "198.51.100.11:8080", "with -g (dr)"),  # port 80
    (TCP + "-a -t 198.51.100.1:80 -r 198.51.100.11:8080 -i", 26, "198.51.100.11:8080", "with -i (tun)"),  # port 80
    (TCP + "-Z", 1, "-Z", "no option -Z"),
    (TCP + "-L -n", 1, "-L", "no option -L"),
]
