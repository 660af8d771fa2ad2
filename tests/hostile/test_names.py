# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and paths that are none, in options that no other hostile test reaches: the option is named."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _multicast, _saved_tasks, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


@pytest.mark.parametrize("path", ["/etc/ipvsadm.rules/../../tmp/rules", "/..", "/etc/../etc/rules", "/etc/rules\n", "../rules", ""])
def test_a_path_that_leaves_its_folder(path):
    with pytest.raises(OptionError, match="^path: "):
        _saved_tasks._check_path(path)


def test_a_path_with_dots_that_go_nowhere():
    _saved_tasks._check_path("/srv/ipvs..d/rules..old")


@pytest.mark.parametrize("name", ["eth\0", "lo\ninjected", "../lo", "\ud800", "x" * 300])
def test_an_interface_that_cannot_be(name):
    daemon = _settings.Daemon("master", name, 7, 1472, "224.0.0.81", 8848, 1)
    with pytest.raises(OptionError, match="^interface: .* there is no such interface"):
        _multicast.check_daemon(daemon, None)
