# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wanted of a KubeProxyConfiguration: the settings, what is right for each, and when two values are the same. Pure."""

from __future__ import annotations

import ipaddress
import re

from ansible.errors import AnsibleFilterError

MODES = ("ipvs", "nftables", "iptables")
# kube-proxy's own default for a sync period that is absent or zero (k8s.io/kube-proxy config/v1alpha1 defaults).
DEFAULT_SYNC_PERIOD = "30s"
# Go's time.ParseDuration, without signs: kube-proxy refuses a negative period or timeout.
DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(h|ms|us|\u00b5s|\u03bcs|ns|m|s)")
NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ns": 1}
# A duration is a signed number of nanoseconds with 64 bits.
LONGEST_DURATION = 2**63 - 1
# Go's net.ParseCIDR takes no zone, and a prefix length but no mask.
CIDR = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]*)\Z")


def _bad(option, value, right):
    return AnsibleFilterError("kube_proxy_config: {0}: {1!r} is not valid: {2}".format(option, value, right))


def _mode(option, value):
    if value not in MODES:
        raise _bad(option, value, "give one of {0}".format(", ".join(MODES)))
    return str(value)


def _scheduler(option, value):
    if not isinstance(value, str) or not re.match(r"[a-z][a-z0-9_]*\Z", value):
        raise _bad(option, value, "give the name of an IPVS scheduler, for example rr, wrr, lc, wlc, sh or mh")
    return str(value)


def boolean(option, value):
    if not isinstance(value, bool):
        raise _bad(option, value, "give true or false")
    return bool(value)


def _cidrs(option, value):
    if not isinstance(value, (list, tuple)):
        raise _bad(option, value, "give a list of networks, for example [198.51.100.0/24]")
    for cidr in value:
        if as_network(cidr) == cidr:
            raise _bad(option, cidr, "give a network with its prefix length, for example 198.51.100.0/24 or 2001:db8::/32")
    networks = [as_network(cidr) for cidr in value]
    for index, network in enumerate(networks):
        if network in networks[:index]:
            raise _bad(option, value[index], "it is in the list twice")
    return [str(cidr) for cidr in value]


def _duration(option, value):
    nanoseconds = _nanoseconds(value)
    if nanoseconds is None or value == "0":
        raise _bad(option, value, "give a duration with its unit, for example 30s, 15m or 1h30m")
    if nanoseconds > LONGEST_DURATION:
        raise _bad(option, value, "the longest duration is 2562047h47m16.854775807s")
    return str(value)


def as_network(text):
    """The network that text names, or text itself where it names none. Host bits do not matter to kube-proxy."""
    try:
        return ipaddress.ip_network(text, strict=False) if isinstance(text, str) and CIDR.match(text) else text
    except ValueError:
        return text


def _nanoseconds(text):
    """The nanoseconds in a Go duration, None where text is none. A fraction of a nanosecond is cut off, as Go does it."""
    if text == "0":
        return 0
    if not isinstance(text, str) or not text:
        return None
    total, position = 0, 0
    while position < len(text):
        part = DURATION_PART.match(text, position)
        whole, fraction, unit = part.groups() if part else ("", "", "")
        if not whole and not fraction:
            return None
        # A fraction of more than 18 digits changes nothing, and a number of thousands of digits takes long.
        if len(whole.lstrip("0")) > 19:
            return LONGEST_DURATION + 1
        digits = (fraction or "")[:18]
        total += int(whole or "0") * NANOSECONDS[unit] + int(digits or "0") * NANOSECONDS[unit] // 10 ** len(digits)
        position = part.end()
    return total


def _equal(current, wanted):
    return type(current) is type(wanted) and current == wanted


def _equal_durations(current, wanted):
    return isinstance(current, str) and _nanoseconds(current) == _nanoseconds(wanted)


def equal_cidrs(current, wanted):
    current = [] if current is None else current
    if not isinstance(current, list) or len(current) != len(wanted):
        return False
    return sorted(str(as_network(cidr)) for cidr in current) == sorted(str(as_network(cidr)) for cidr in wanted)


# option: path in a KubeProxyConfiguration, check of the wanted value, comparison of the current one with it
SETTINGS = {
    "mode": (("mode",), _mode, _equal),
    "scheduler": (("ipvs", "scheduler"), _scheduler, _equal),
    "strict_arp": (("ipvs", "strictARP"), boolean, _equal),
    "exclude_cidrs": (("ipvs", "excludeCIDRs"), _cidrs, equal_cidrs),
    "sync_period": (("ipvs", "syncPeriod"), _duration, _equal_durations),
    "min_sync_period": (("ipvs", "minSyncPeriod"), _duration, _equal_durations),
    "tcp_timeout": (("ipvs", "tcpTimeout"), _duration, _equal_durations),
    "tcp_fin_timeout": (("ipvs", "tcpFinTimeout"), _duration, _equal_durations),
    "udp_timeout": (("ipvs", "udpTimeout"), _duration, _equal_durations),
}


def check_sync_periods(ipvs, wanted, default):
    """kube-proxy does not start when the shortest time between refreshes is above the longest.

    ipvs: the section as it would be. default: the longest time where the section has none, None where that is not known.
    """
    if not {"sync_period", "min_sync_period"} & set(wanted):
        return
    text = ipvs.get("syncPeriod") or default
    if _nanoseconds(text) == 0:
        text = DEFAULT_SYNC_PERIOD
    longest, shortest = _nanoseconds(text), _nanoseconds(ipvs.get("minSyncPeriod"))
    if longest is not None and shortest is not None and shortest > longest:
        raise AnsibleFilterError(
            "kube_proxy_config: minSyncPeriod would be {0}, above syncPeriod {1}, and kube-proxy would not start: "
            "set min_sync_period and sync_period together".format(ipvs["minSyncPeriod"], text)
        )
