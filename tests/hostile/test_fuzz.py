# SPDX-License-Identifier: GPL-3.0-or-later
"""Options and rule text that make little sense: an answer or an error that names what is wrong, never a traceback, and no change where refused.

The kernel is the stand-in of the unit tests. FUZZ_SEED=NUMBER runs the same cases again; FUZZ_CASES=NUMBER so many of each kind.
"""

from __future__ import annotations

import importlib
import os
import random
from types import SimpleNamespace

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _owners, _rules, _rules_reader, _saved
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError
from tests import rule_tables
from tests.unit.task_node import Node

CASES = int(os.environ.get("FUZZ_CASES") or 11000)
MODULES = ("ipvs_service", "ipvs_server", "ipvs_table", "ipvs_table", "ipvs_timeouts", "ipvs_sync_daemon", "ipvs_counters")
BEFORE = """\
-A -t 203.0.113.80:80 -s wlc
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -g -w 0 -x 9 -y 5
-A -u [2001:db8::80]:53 -s sh -p 60 -M 48 -b sh-port
-a -u [2001:db8::80]:53 -r [2001:db8::11]:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-A -f 7 -s rr -o
"""
TEXTS = [
    "203.0.113.80", "198.51.100.11", "198.51.100.12", "2001:db8::80", "2001:DB8:0::11", "[2001:db8::80]", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
    "127.0.0.1", "::ffff:198.51.100.11", "fe80::1%lo", "198.51.100.011", "198.51.100.300", "198.51.100.0/24", "localhost", "", " ", "\0", "\n", "-1", "0",
    "0x10", "1e3", "٣", "255.255.255.0", "255.0.255.0", "24", "129", "rr", "wlc", "sh", "sixteen-letters--", "nosuch", "sip", "lo", "eth0", "a" * 5000,
    "100-199", "199-100", "100-", "é", "\ud800", "{{ x }}", "%s%n", "tcp", "udp", "sctp", "ipv4", "ipv6", "nat", "dr", "tun", "gue", "gre", "csum", "port",
]  # fmt: skip
NUMBERS = [0, 1, 5, 7, 53, 80, 443, 6080, 65535, 65536, 2147483647, 2147483648, 4294967295, 4294967296, 10**30, -1, -(2**31)]


@pytest.fixture
def dice(capsys):
    number = int(os.environ.get("FUZZ_SEED") or random.SystemRandom().randrange(10**9))
    with capsys.disabled():
        print(f"\nFUZZ_SEED={number}")
    return random.Random(number)


def spec_of(name):
    """The task of a module and what its AnsibleModule is made with."""
    module = importlib.import_module(f"ansible_collections.lvs.ipvs.plugins.modules.{name}")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AnsibleModule", lambda **words: found.update(words))
        patch.setattr(module, "run", lambda _module, task: found.update(task=task))
        module.main()
    rules = {key: found[key] for key in ("mutually_exclusive", "required_together", "required_one_of", "required_if") if key in found}
    return found["task"], found["argument_spec"], ArgumentSpecValidator(found["argument_spec"], **rules)


def some_value(dice, option, depth=0):
    """A value for an option: most often one of its type, else anything."""
    kind = dice.random()
    if kind < 0.05 and option["type"] != "dict":  # Ansible itself stumbles over what is no dict within a list
        return dice.choice([None, True, [], {}, [None], 1.5, dice.choice(TEXTS), dice.choice(NUMBERS)])
    if option.get("choices") and option["type"] == "str" and kind < 0.95:
        return dice.choice(option["choices"])
    if option["type"] == "bool":
        return dice.random() < 0.5
    if option["type"] == "dict":
        return some_options(dice, option["options"], depth) if "options" in option else {}
    if option["type"] == "list":
        element = {"type": option["elements"], **{key: option[key] for key in ("options", "choices") if key in option}}
        return [some_value(dice, element, depth + 1) for _number in range(dice.choice([0, 1, 1, 2, 3]))]
    if option["type"] == "str":
        return dice.choice(TEXTS)
    return dice.choice(NUMBERS)


def some_options(dice, spec, depth=0):
    """A few of the options, those that name an object more often than the others."""
    names = [name for name in spec if name != "netns"]
    chosen = set(dice.sample(names, min(len(names), dice.randrange(4))))
    fwmark = dice.random() < 0.3
    for name in names:
        if name.endswith("fwmark") if fwmark else name.endswith(("address", "port")):
            chosen |= {name} if dice.random() < 0.9 else set()
    chosen |= {name for name in ("servers", "services") if name in spec and dice.random() < 0.6}
    plain = {name for name in names if spec[name]["type"] not in ("dict", "list")}
    return {
        name: sensible(dice, name) if name in plain and dice.random() < 0.5 else some_value(dice, spec[name], depth) for name in names if name in chosen
    }


def sensible(dice, name):
    """A value that goes with this option, as far as the name tells."""
    if name.endswith("address"):
        return dice.choice(TEXTS[:4])
    if name.endswith(("port", "fwmark")):
        return dice.choice([7, 53, 80])
    return None if dice.random() < 0.7 else dice.choice([*TEXTS, *NUMBERS, True, False])


@pytest.fixture
def node(monkeypatch):
    made = Node(monkeypatch)
    monkeypatch.setattr(_saved, "read", dict)
    monkeypatch.setattr(_owners, "find", lambda netns: [])
    return made


def outcome(task, options, context):
    """The answer, or the text of the error that the user reads. Anything else that is raised is a fault."""
    try:
        return task(options, context), None
    except IpvsError as error:
        assert len(str(error)) > 10, error
        return None, str(error)


def test_options(node, dice):
    specs = {name: spec_of(name) for name in set(MODULES)}
    before = _rules_reader.parse(BEFORE).table
    counts = {"answered": 0, "refused": 0, "refused by Ansible": 0}
    for _number in range(CASES):
        name = dice.choice(MODULES)
        task, spec, validator = specs[name]
        given = some_options(dice, spec)
        checked = validator.validate(given)
        if checked.error_messages:
            counts["refused by Ansible"] += 1
            continue
        options = {option: checked.validated_parameters.get(option, spec[option].get("default")) for option in spec}
        node.kernel.table = {ident: entry._replace(servers=dict(entry.servers)) for ident, entry in before.items()}
        node.kernel.running_daemons, node.kernel.read_only = {}, True
        try:
            foretold, objection = outcome(task, options, Context(True, True, lambda text: None))
            node.kernel.read_only = False
            answer, refusal = outcome(task, options, Context(False, True, lambda text: None))
        except Exception as error:
            raise AssertionError(f"{name}: {given!r}") from error
        if refusal is None:
            counts["answered"] += 1
            assert foretold == answer or name == "ipvs_sync_daemon", (name, given)
        else:
            counts["refused"] += 1
            assert node.kernel.table == before, (name, given, refusal)
            # what only the kernel knows, and the service that an earlier task may be about to make, a check cannot tell
            known = "the kernel answered" not in refusal and not refusal.endswith("create it first, with ipvs_service")
            assert objection == refusal or not known, (name, given, refusal, objection)
    assert min(counts.values()) > CASES / 50, counts


def spoiled(dice, text):
    """A text with something in it moved, doubled, left out, or replaced by what has no place there."""
    words = text.split(" ")
    for _number in range(dice.choice([1, 1, 2, 4])):
        place = dice.randrange(len(words))
        kind = dice.randrange(6)
        if kind == 0:
            del words[place : place + 1]
        elif kind == 1:
            words.insert(place, dice.choice(words or [""]))
        elif kind == 2:
            words[place] = dice.choice([*TEXTS, *map(str, NUMBERS), "-p", "-M", "-b", "-o", "-6", "-x", "-y", "--tun-type", "--set", "-C", "#"])
        elif kind == 3:
            word = words[place]
            at = dice.randrange(len(word) + 1)
            words[place] = word[:at] + dice.choice("-=:[]./,'\"\\\t\n\0 #é9") + word[at + dice.randrange(2) :]
        elif kind == 4:
            words[place] = words[place][: dice.randrange(len(words[place]) + 1)]
        else:
            words[place] += dice.choice(["\n", "\r\n"]) + " ".join(words[: dice.randrange(4)])
        words = words or [""]
    return " ".join(words)


def test_rule_text(dice):
    sources = [BEFORE, *(text for text, _made in rule_tables.SAME), *(text for text, *_rest in rule_tables.REFUSED)]
    counts = SimpleNamespace(taken=0, refused=0)
    for _number in range(CASES):
        text = spoiled(dice, dice.choice(sources))
        try:
            read = _rules_reader.parse(text)
        except IpvsError as error:
            counts.refused += 1
            assert "line" in str(error), (text, str(error))
            continue
        except Exception as error:
            raise AssertionError(repr(text)) from error
        counts.taken += 1
        assert _rules_reader.parse(_rules.render_table(read.table)).table == read.table, text
    assert min(counts.taken, counts.refused) > CASES / 50, counts
