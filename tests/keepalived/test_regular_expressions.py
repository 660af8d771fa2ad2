# SPDX-License-Identifier: GPL-3.0-or-later
"""PCRE2, which keepalived uses, compiles every regular expression that we let pass: keepalived does not survive any other."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _check_values
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

PCRE2 = ctypes.CDLL("libpcre2-8.so.0")  # keepalived's own
PCRE2.pcre2_compile_8.restype = ctypes.c_void_p
PCRE2.pcre2_compile_8.argtypes = [
    ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_size_t), ctypes.c_void_p,
]  # fmt: skip
PIECES = [
    *"abcxuZ019 .^$|?*+()[]{}-,:=!<>#&~_\"'\\/PiLsR",
    "(?:", "(?=", "(?<=", "(?<!", "(?i)", "(?P<n>", "(?P=n)", "(?(1)", "(?>", "(?#", "(*", "\\d", "\\b", "\\x41", "\\1", "\\2", "\\Q", "\\E",
    "[:alpha:]", "[[:", "[^]", "{2,3}", "{,3}", "{999}", "{65536}", "\\u0041", "\\N", "\\p{L}", "\\k<n>", "\\G", "\\K", "\\C", "\\o{1}",
]  # fmt: skip


def compiles(text):
    error, offset = ctypes.c_int(), ctypes.c_size_t()
    code = PCRE2.pcre2_compile_8(text.encode(), len(text), 0, error, offset, None)
    if code:
        PCRE2.pcre2_code_free_8(ctypes.c_void_p(code))
    return bool(code)


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12).map("".join) | st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_what_passes_compiles(text):
    try:
        _check_values.text(text, "text")
    except OptionError:
        assume(False)
    assert compiles(text)


@pytest.mark.parametrize("text", ["a(b", "\\u0041", "[[:foo:]]", "(?(9)a|b)", "((a{999}){999}){999}", "(?a)x", "\\N{DIGIT ONE}"])
def test_what_does_not_compile_is_refused(text):
    assert not compiles(text)
    with pytest.raises(OptionError):
        _check_values.text(text, "text")
