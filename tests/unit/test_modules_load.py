# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of modules-load.d."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _modules_load


def test_a_new_listing_has_a_header_and_goes_away_again():
    text = _modules_load.with_modules(None, ["ip_vs", "ip_vs_rr"], {})
    assert text == _modules_load.HEADER + "ip_vs\nip_vs_rr\n"
    assert _modules_load.without_modules(text, ["ip_vs"]) == _modules_load.HEADER + "ip_vs_rr\n"
    assert _modules_load.without_modules(text, ["ip_vs", "ip_vs_rr"]) is None


def test_what_others_wrote_stays():
    text = "# ours\n; old style\n\nip-vs-rr\nbonding"
    assert _modules_load.with_modules(text, ["ip_vs_rr"], {}) is text
    assert _modules_load.with_modules(text, ["ip_vs_rr", "ip_vs"], {}) == text + "\nip_vs\n"
    assert _modules_load.without_modules(text, ["ip_vs_rr"]) == "# ours\n; old style\n\nbonding\n"
    assert _modules_load.without_modules(text, ["ip_vs_mh"]) is text
    assert _modules_load.without_modules("ip_vs\n", ["ip_vs"]) == ""


def test_an_outdated_alternative_is_replaced_where_it_stands():
    outdated = {"nf_conntrack_ipv4": "nf_conntrack"}
    assert _modules_load.with_modules("nf_conntrack_ipv4\nip_vs\n", ["nf_conntrack"], outdated) == "nf_conntrack\nip_vs\n"
    assert _modules_load.with_modules("nf_conntrack\nnf_conntrack_ipv4\n", ["nf_conntrack"], outdated) == "nf_conntrack\n"
