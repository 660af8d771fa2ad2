# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of a check may hold; nothing in them can become configuration of its own."""

from __future__ import annotations

import string

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _check_values
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


@pytest.mark.parametrize(
    ("kind", "value", "held"),
    [
        (_check_values.path, "/", "/"),
        (_check_values.path, "/a/b.c~d?e=%20&f=(1),2;3:4@5*6+-_", "/a/b.c~d?e=%20&f=(1),2;3:4@5*6+-_"),
        (_check_values.path, "/" + "a" * 499, "/" + "a" * 499),
        (_check_values.host, "www.Example-1.com", "www.Example-1.com"),
        (_check_values.host, "a", "a"),
        (_check_values.host, "198.51.100.1", "198.51.100.1"),
        (_check_values.name, "_sip._tcp.example.com.", "_sip._tcp.example.com."),
        (_check_values.name, "a", "a"),
        (_check_values.digest, "0123456789abcdefABCDEF0123456789", "0123456789abcdefabcdef0123456789"),
        (_check_values.status, ["100", "599", "200-299", "204-204"], ("100", "599", "200-299", "204-204")),
        (_check_values.text, r"^OK\d{1,3}(a|b)?$", r"^OK\d{1,3}(a|b)?$"),
        (_check_values.text, r"\(?x[:.](?i:y)\\N{1}", r"\(?x[:.](?i:y)\\N{1}"),
        (_check_values.text, "a" * 240, "a" * 240),
        (_check_values.text, "(a{40}){25}", "(a{40}){25}"),
        (_check_values.text, "{}", "{}"),
        (_check_values.command, "/bin/true", ("/bin/true",)),
        (_check_values.command, "/" + "a" * 499, ("/" + "a" * 499,)),
        (_check_values.command, "/a/b 'c d' \"e f\" g\\ h '' --i=!#{}", ("/a/b", "c d", "e f", "g h", "", "--i=!#{}")),
        (_check_values.seconds(0.1, 5), 0.1, 0.1),
        (_check_values.number(1, 5, "a port"), 5, 5),
    ],
)
def test_what_is_taken(kind, value, held):
    assert kind(value, "option") == held


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (_check_values.path, ["", "a", "/a b", "/\n", "/a\n", "/ü", "/" + "a" * 500]),
        (_check_values.host, ["", ".", "a:80", "-a", "a-", "[2001:db8::1]", "a b", "a\n", "ü.example.com", "a" * 254]),
        (_check_values.name, ["", ".", ".a", "aa..b", "a.example.com", "a b", "aa\n", "a" * 64, "aa." * 85]),
        (_check_values.digest, ["", "0" * 31, "0" * 33, "g" * 32, "0" * 32 + "\n"]),
        (_check_values.status, [[], ["99"], ["600"], ["299-200"], ["200-"], ["2xx"], ["200\n"], [""], ["200"] * 101]),
        (_check_values.text, ["", "a\nb", "ü", "a" * 241, "a(", "[", "*", "\\", r"\Q", r"\u0041", r"\0", r"\Z", "(?P<n>a)", "(?#a)", "(?>a)", "(?a)"]),
        (_check_values.text, ["[:alpha:]", "[a[=b=]]", "a{,3}", "a{1001}", "(a{40}){40}", "a{65536}"]),
        (_check_values.command, ["", " ", "true", "bin/true", "/bin/true 'a", '/bin/true "a', "/bin/true\nb", "/bin/ü", "/" + "a" * 500]),
        (_check_values.command, ["/bin/true $a", "/bin/true \"it's\"", "/bin/true 'a\"b'", "/bin/true 'a\\b'"]),
        (_check_values.seconds(0.1, 5), [0, 0.09, 5.1, float("nan"), float("inf"), -1]),
        (_check_values.number(1, 5, "a port"), [0, 6]),
    ],
)
def test_what_is_refused(kind, values):
    for value in values:
        with pytest.raises(OptionError) as error:
            kind(value, "option")
        assert str(error.value).startswith("option: ")


@pytest.mark.parametrize("kind", [_check_values.path, _check_values.host, _check_values.name])
def test_a_plain_word_has_no_character_with_a_meaning(kind):
    good = "/" if kind is _check_values.path else "aa"
    assert kind(good, "option") == good
    for char in sorted(set(map(chr, range(300))) - set(string.ascii_letters + string.digits + "/._~%?&=+:,;@()*-")):
        for value in (good + char, good + char + good, char + good):
            with pytest.raises(OptionError):
                kind(value, "option")
