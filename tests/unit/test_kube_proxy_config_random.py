# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter lvs.ipvs.kube_proxy_config on configurations, spellings and damage by chance."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
from decimal import Decimal

import yaml
from ansible.errors import AnsibleFilterError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import FilterModule
from tests.unit.kube_proxy_texts import EKS, HEAD, K3S, KUBEADM

edit = FilterModule().filters()["kube_proxy_config"]

# --- Random configurations ---

KEYS = st.sampled_from(["bindAddress", "iptables", "conntrack", "portRange", "nftables", "x-note", "zz"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(alphabet="abc #:'\"{}[],&*!|>%@`-", max_size=8))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=5)
DURATIONS = st.sampled_from(["0s", "30s", "1m0s", "15m", "1h30m", "250ms"])
CIDRS = st.lists(st.sampled_from(["203.0.113.0/24", "198.51.100.0/25", "2001:db8::/32", "2001:db8:1::/48"]), max_size=4, unique=True)
SECTION = st.fixed_dictionaries(
    {},
    optional={
        "scheduler": st.sampled_from(["", "rr", "lc", "sh"]),
        "strictARP": st.booleans() | st.none(),
        "excludeCIDRs": CIDRS | st.none(),
        "tcpTimeout": DURATIONS | st.none(),
        "zz": VALUES,
    },
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.sampled_from(["ipvs", "nftables", "iptables"]),
        "scheduler": st.sampled_from(["rr", "wlc", "on"]),
        "strict_arp": st.booleans(),
        "exclude_cidrs": CIDRS,
        "tcp_timeout": DURATIONS,
        "udp_timeout": DURATIONS,
    },
)
NAMES = {
    "scheduler": "scheduler",
    "strict_arp": "strictARP",
    "exclude_cidrs": "excludeCIDRs",
    "tcp_timeout": "tcpTimeout",
    "udp_timeout": "udpTimeout",
}


@st.composite
def configurations(draw):
    """The text of a configuration, the text's comments, and what it means."""
    value = {"kind": "KubeProxyConfiguration", **draw(st.dictionaries(KEYS, VALUES, max_size=3))}
    value.update(draw(st.fixed_dictionaries({}, optional={"mode": st.sampled_from(["", "ipvs", "iptables"]), "ipvs": SECTION | st.none()})))
    names = draw(st.permutations(list(value)))
    value = {name: value[name] for name in names}
    if draw(st.booleans()):
        text = json.dumps(value, indent=draw(st.sampled_from([None, 2])))
        return text, [], value
    text = "".join(
        f"# about {name}\n"
        + (
            f"{name}: {json.dumps(part)}\n"
            if draw(st.booleans())
            else yaml.safe_dump({name: part}, default_flow_style=False, indent=draw(st.sampled_from([2, 4])))
        )
        for name, part in value.items()
    )
    text = text if draw(st.booleans()) else text.rstrip("\n")
    return text, [f"# about {name}" for name in value], value


def changed(before, settings):
    """What the settings make of a configuration, worked out without the filter."""
    expected = dict(before)
    if "mode" in settings:
        expected["mode"] = settings["mode"]
    section = dict(before.get("ipvs") or {})
    for option, name in NAMES.items():
        if option in settings and not (settings[option] == [] and section.get(name) in (None, [])):
            section[name] = settings[option]
    if section != (before.get("ipvs") or {}):
        expected["ipvs"] = section
    return expected


def spelt_out(text):
    """A duration in seconds and a network in its usual spelling; anything else as it is."""
    if isinstance(text, str) and re.fullmatch(r"([0-9]+(\.[0-9]*)?(ns|us|ms|s|m|h))+", text):
        units = {"ns": "e-9", "us": "e-6", "ms": "e-3", "s": "", "m": "*60", "h": "*3600"}
        parts = [(number, *(units[unit] + "*1").split("*")[:2]) for number, unit in re.findall(r"([0-9.]+)([a-z]+)", text)]
        return str(sum(Decimal(number + exponent) * Decimal(factor) for number, exponent, factor in parts).normalize())
    if isinstance(text, str) and re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]+", text):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_network(text, strict=False))
    return text


def comparable(value):
    """A configuration as a text of all its values with their types. Equal networks and durations may be spelt differently."""
    section = value.get("ipvs")
    if isinstance(section, dict):
        section = {name: spelt_out(part) for name, part in section.items()}
        if isinstance(section.get("excludeCIDRs"), list):
            section["excludeCIDRs"] = sorted(map(spelt_out, section["excludeCIDRs"]), key=repr)
        value = {**value, "ipvs": section}
    return yaml.safe_dump(value)


@given(configurations(), SETTINGS)
def test_any_configuration(configuration, settings):
    text, comments, before = configuration
    after = edit(text, **settings)
    result = yaml.safe_load(after)
    assert comparable(result) == comparable(changed(before, settings))
    assert [line for line in after.split("\n") if line.startswith("# about")] == comments
    assert edit(after, **settings) == after
    kept = [name for name in before if name in result]
    assert [name for name in result if name in before] == kept


# --- Random spellings, and texts that somebody damaged ---

# libyaml reads tabs between tokens, as Go's YAML does, and shares no code with the reader that the filter uses.
LOADER = yaml.CSafeLoader
BLANKS = st.sampled_from([" ", "  ", "\t", " \t", "\t\t "])
TAILS = st.one_of(st.just(""), st.builds(lambda blank, note: blank + note, BLANKS, st.sampled_from(["# it's: [why]", "#", '# \t- "x'])))
QUOTES = st.sampled_from(["{}", "'{}'", '"{}"'])
SPELT_CIDRS = st.lists(
    st.sampled_from(["203.0.113.0/24", "198.51.100.1/25", "2001:db8::/32", "2001:DB8:1:0::/48", "198.51.100.130/25"]), max_size=4, unique=True
)


@st.composite
def spellings(draw):
    """A configuration line by line, with everything that YAML leaves to taste. Returns the text."""

    def line(indent, name, value):
        quoted = draw(QUOTES).format(value) if value else draw(st.sampled_from(["", "''", '""', "null", "~"]))
        return " " * indent + name + ":" + (draw(BLANKS) + quoted if quoted else "") + draw(TAILS)

    def networks(indent, items):
        if not items or draw(st.booleans()):
            inside = ("," + draw(BLANKS)).join(draw(QUOTES).format(item) if ":" not in item else f'"{item}"' for item in items)
            return [" " * indent + "excludeCIDRs:" + draw(BLANKS) + "[" + inside + "]" + draw(TAILS)]
        column = indent + draw(st.sampled_from([0, 2]))
        lines = [" " * indent + "excludeCIDRs:" + draw(TAILS)]
        for item in items:
            if draw(st.booleans()):
                lines.append(" " * column + "- " + draw(QUOTES).format(item) + draw(TAILS))
            else:
                lines += [" " * column + "-" + draw(st.sampled_from(["", "  # why"]))]  # no tab: it would be indentation
                lines += draw(st.lists(st.sampled_from(["", " " * column + "# about it", "# far left"]), max_size=2))
                lines += [" " * (column + 2) + draw(QUOTES).format(item) + draw(TAILS)]
        return lines

    indent = draw(st.sampled_from([1, 2, 4]))
    section = []
    for name, values in (("scheduler", ["", "rr", "lc"]), ("tcpTimeout", ["", "0s", "60s", "90m"]), ("strictARP", ["", "true", "false"])):
        if draw(st.booleans()):
            value = draw(st.sampled_from(values))
            plain = name == "strictARP" and value
            section.append([" " * indent + f"{name}: {value}" + draw(TAILS)] if plain else [line(indent, name, value)])
    if draw(st.booleans()):
        section.append(networks(indent, draw(SPELT_CIDRS)))
    blocks = [[line(0, "kind", "KubeProxyConfiguration")], ["note:" + draw(BLANKS) + "|", "  mode: x", "  - y\t# z"]]
    blocks.append([line(0, "mode", draw(st.sampled_from(["", "ipvs", "iptables"])))])
    if draw(st.booleans()):
        blocks.append(["base: &base" + draw(BLANKS) + "{zz: 1, udpTimeout: 5m}"])
        section.insert(0, [" " * indent + "<<: *base"])
    head = blocks[:]
    if draw(st.booleans()):
        content = [text for part in section for text in [*part, *draw(st.lists(st.sampled_from(["", "# between"]), max_size=1))]]
        head.append(["ipvs:" + draw(TAILS), *content])
    lines = [text for part in head for text in part]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    return text + draw(st.sampled_from(["", "\n", "\n...\n", "\n---\nkind: Other\nmode: x\n"]))


def check(before, after, wanted, partial=False):
    """What the filter returned says what was asked for, and nothing else of the text has another meaning."""
    old, new = (list(yaml.load_all(text, Loader=LOADER)) for text in (before, after))
    ours = [index for index, value in enumerate(old) if isinstance(value, dict) and value.get("kind") == "KubeProxyConfiguration"]
    if partial and len(old) == 1:
        ours = [0]
    assert len(ours) == 1
    expected = [changed(value, wanted) if index in ours else value for index, value in enumerate(old)]
    result, expected = ([comparable(value) if index in ours else value for index, value in enumerate(values)] for values in (new, expected))
    assert result == expected
    assert edit(after, partial=partial, **wanted) == after


@settings(max_examples=200)
@given(spellings(), SETTINGS)
def test_any_spelling(text, wanted):
    check(text, edit(text, **wanted), wanted)


@st.composite
def damaged(draw):
    """The text of a configuration with a few random changes: bytes of YAML put in, parts taken out, put twice or put elsewhere."""
    text = draw(st.sampled_from([EKS, KUBEADM, K3S, EKS.replace("\n", "\r\n"), json.dumps(yaml.safe_load(KUBEADM), indent=1)]))
    for _change in range(draw(st.integers(1, 4))):
        # Most of the changes hit what the filter edits.
        places = [match.start() for match in re.finditer(r"mode|ipvs|scheduler|excludeCIDRs|syncPeriod|kind|\n", text)] or [0]
        start = min(len(text), draw(st.sampled_from(places)) + draw(st.integers(-3, 20)) % 40)
        piece = text[start : start + draw(st.integers(0, 30))]
        kind = draw(st.sampled_from(["in", "out", "twice", "away"]))
        if kind == "in":
            text = text[:start] + draw(st.text(alphabet=FUZZ, min_size=1, max_size=4)) + text[start:]
        elif kind == "out":
            text = text[:start] + text[start + len(piece) :]
        elif kind == "twice":
            text = text[:start] + piece + text[start:]
        else:
            text = text[:start] + text[start + len(piece) :] + piece
    return text


FUZZ = "\t\n\r #:-?{}[]&*!|>'\"%@`,<=~.\\0x/aipvsmode\x85\u2028\ufeff\u0661\x00"


@settings(max_examples=200)
@given(damaged(), SETTINGS, st.booleans())
def test_a_damaged_configuration_is_edited_rightly_or_refused(text, wanted, partial):
    try:
        after = edit(text, partial=partial, **wanted)
    except AnsibleFilterError:
        return
    check(text, after, wanted, partial)


@settings(max_examples=200)
@given(st.text(alphabet=FUZZ + "kind: KubeProxyConfiguration", max_size=60), SETTINGS)
@example("%", {"mode": "ipvs"})
def test_any_text_at_all_is_edited_or_refused(text, wanted):
    for source in (text, HEAD + text, HEAD + "ipvs: " + text, HEAD + "ipvs:\n  excludeCIDRs:\n  " + text):
        try:
            assert edit(edit(source, **wanted), **wanted) == edit(source, **wanted)
        except AnsibleFilterError:
            pass
