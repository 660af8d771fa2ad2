# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's single steps: without Molecule, and with what Molecule has for a person at a terminal."""

from __future__ import annotations

from tests.outside.conftest import commands


def test_without_molecule_and_with_its_login(stranger):
    create, site, ssh, destroy = commands("Without Molecule")
    stranger.run(create)
    try:
        assert "changed=0" in stranger.run("molecule create"), "it boots nothing again"
        # The terminal shows what is typed, too: the sum is what the machine alone can say.
        assert "web1 42" in stranger.run_at_terminal("molecule login --host web1", "echo $(hostname) $((6 * 7)); exit\n")
        stranger.run(site)
        assert "TCP  203.0.113.80:80 rr" in stranger.run(ssh)
    finally:
        stranger.run(destroy)
    assert "changed=0" in stranger.run("molecule destroy")
    assert not list((stranger.repository / "molecule/default/inventory").glob("lab_machines.*"))
