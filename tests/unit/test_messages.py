# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of messages that a person reads (make messages): it has them all, and none is worded in a way that was mended before."""

from __future__ import annotations

import re

from tests.tools.messages import messages

UNCLEAR = r"\b(?:somebody|nobody|nevertheless|all the same|leave .* out)\b|n't there\b|shall\b"
OTHERS = "plugins/module_utils/_keepalived"


def test_the_list_has_errors_and_warnings_of_modules_filters_and_roles():
    found = messages()
    said = {(message.kind, message.text) for message in found}
    assert ("error", "give the address of at least one real server") in said
    assert ("error", "from_ipvsadm: expected rule text, got {}") in said
    assert ("warning", "{} is not installed yet; an earlier task may install it") in said
    assert any(message.place.startswith("roles/kube_proxy/tasks") for message in found)
    assert any(message.place.startswith("playbooks") for message in found)
    assert len(found) > 250


def test_messages_are_plain():
    own = [message for message in messages() if message.place.startswith("plugins/") and OTHERS not in message.place]
    assert [message for message in own if re.search(UNCLEAR, message.text)] == []
