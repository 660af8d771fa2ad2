# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of kernel settings: which of those that a kernel does not have are mistyped. No I/O.

Source of the names: vs_vars in net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_lblc.c, ip_vs_lblcr.c, Linux 4.4 to 6.18.
"""

from __future__ import annotations

import difflib

IPVS = "net.ipv4.vs."
IPVS_NAMES = frozenset(
    """amemthresh am_droprate drop_entry drop_packet conntrack secure_tcp snat_reroute sync_version sync_ports sync_persist_mode
    sync_qlen_max sync_sock_size cache_bypass expire_nodest_conn sloppy_tcp sloppy_sctp expire_quiescent_template sync_threshold
    sync_refresh_period sync_retries nat_icmp_send pmtu_disc backup_only conn_reuse_mode schedule_icmp ignore_tunneled
    run_estimation est_cpulist est_nice conn_lfactor svc_lfactor debug_level lblc_expiration lblcr_expiration""".split()
)
_ALIKE = 0.85  # from here on one word is taken for the other, mistyped


def meant(key, place, names):
    """The key that a mistyped one stands for, or None for one that some other kernel may have.

    ``key``: one that this kernel does not have; ``place``: the index of its first word that is not there; ``names``: what is there
    in that place. Every name under net.ipv4.vs is known; elsewhere a key is mistyped if a name beside it is almost the same.
    """
    if key.startswith(IPVS):
        name = key[len(IPVS) :]
        if name in IPVS_NAMES:
            return None
        return IPVS + difflib.get_close_matches(name, sorted(IPVS_NAMES), 1, 0.0)[0]
    words = key.split(".")
    alike = difflib.get_close_matches(words[place], names, 1, _ALIKE) if place < len(words) else []
    return ".".join(words[:place] + alike + words[place + 1 :]) if alike else None
