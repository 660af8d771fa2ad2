# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kernel settings by name: spellings, wildcards, and which names that a kernel does not have are mistyped.

A key has dots between its words, and a slash for a dot within one (net.ipv4.conf.eth0/100.arp_ignore); sysctl(8) takes it the other
way round, too. ``*`` stands for any characters within one word. ``root``: the directory that the node's file system starts at.

Source of the names of IPVS: vs_vars in net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_lblc.c, ip_vs_lblcr.c, Linux 4.4 to 6.18.
"""

from __future__ import annotations

import difflib
import glob
import os
import re

IPVS = "net.ipv4.vs."
IPVS_NAMES = frozenset(
    """amemthresh am_droprate drop_entry drop_packet conntrack secure_tcp snat_reroute sync_version sync_ports sync_persist_mode
    sync_qlen_max sync_sock_size cache_bypass expire_nodest_conn sloppy_tcp sloppy_sctp expire_quiescent_template sync_threshold
    sync_refresh_period sync_retries nat_icmp_send pmtu_disc backup_only conn_reuse_mode schedule_icmp ignore_tunneled
    run_estimation est_cpulist est_nice conn_lfactor svc_lfactor debug_level lblc_expiration lblcr_expiration""".split()
)
_ALIKE = 0.85  # from here on one word is taken for the other, mistyped
_SWAP = str.maketrans("./", "/.")
_FOLDER = "proc/sys"


def normal_key(text):
    """A key in the spelling with dots between its words. The first separator tells which spelling it has."""
    separators = re.search("[./]", text)
    return text.translate(_SWAP) if separators and separators.group() == "/" else text


def is_key(key):
    """Whether a key in that spelling could be one of some kernel: two words or more."""
    words = key.translate(_SWAP).split("/")
    return len(words) > 1 and not set(words) & {"", ".", ".."} and len(key.split()) == 1


def path_of(key, root="/"):
    """The file of a key."""
    return os.path.join(root, _FOLDER, key.translate(_SWAP))


def matching(pattern, root="/"):
    """The keys of this kernel that a key, with wildcards or without, stands for; sorted."""
    start = os.path.join(root, _FOLDER, "")
    wild = "*".join(glob.escape(part) for part in pattern.translate(_SWAP).split("*"))
    return sorted(path[len(start) :].translate(_SWAP) for path in glob.glob(glob.escape(start) + wild) if os.path.isfile(path))


def stands_for(pattern, key):
    """Whether a key, with wildcards or without, stands for another one without."""
    return re.match("[^.]*".join(re.escape(part) for part in pattern.split("*")) + r"\Z", key) is not None


def normal_value(value):
    """A value as text with single spaces; true is 1, false is 0."""
    return " ".join(str(int(value) if isinstance(value, bool) else value).split())


def read(key, root="/"):
    """The value of a key, or None where the kernel does not have it or does not tell it."""
    try:
        with open(path_of(key, root), encoding="utf-8", errors="replace") as stream:
            return normal_value(stream.read())
    except OSError:
        return None


def write(key, value, root="/"):
    """Give a key a value. Raises OSError."""
    with open(path_of(key, root), "w", encoding="utf-8") as stream:
        stream.write(value + "\n")


def first_missing(key, root="/"):
    """Where a key ends to be one of this kernel: (index of its first word that is not there, the names that are there in its place).

    An interface that is not there may come: its settings are those of "default".
    """
    folder, names, place = os.path.join(root, _FOLDER), [], 0
    words = key.translate(_SWAP).split("/")
    for place, word in enumerate(words):
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if word not in names and words[2:3] and words[2] in ("conf", "neigh") and place == 3:
            word = "default"
        if word not in names:
            break
        folder = os.path.join(folder, word)
    return place, [name.translate(_SWAP) for name in names if name != words[place]]


def meant(key, place, names):
    """The key that a mistyped one stands for, or None for one that some other kernel may have.

    ``key``: one that this kernel does not have; ``place``: the index of its first word that is not there; ``names``: what is there
    in that place. Every name under net.ipv4.vs is known; elsewhere a key is mistyped if a name beside it is almost the same.
    """
    if key.startswith(IPVS):
        name = key[len(IPVS) :]
        if name in IPVS_NAMES or "*" in name:
            return None
        return IPVS + difflib.get_close_matches(name, sorted(IPVS_NAMES), 1, 0.0)[0]
    words = key.split(".")
    alike = difflib.get_close_matches(words[place], names, 1, _ALIKE) if place < len(words) else []
    return ".".join(words[:place] + alike + words[place + 1 :]) if alike else None
