# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles director and real_server read of a node in one round trip."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT, ansible

HERE = Path(__file__).resolve().parent
READER = ROOT / "roles/director/files/read_node.py"

MANY = [f"{ipaddress.ip_address('203.0.113.0') + number}" for number in range(10_000)]
MANY += [f"2001:DB8::{number:04x}" for number in range(10_000)]


def read(request):
    done = subprocess.run([sys.executable, "-c", READER.read_text()], input=json.dumps(request), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_an_address_has_a_spelling_and_a_place():
    vips = [{"address": "2001:DB8:0::80", "prefix_length": 64}, "203.0.113.80"]
    answer = read({"addresses": ["2001:DB8:0::80", "nonsense"], "vips": vips, "interface": "eth9"})
    assert answer["spelling"] == {"2001:DB8:0::80": "2001:db8::80", "nonsense": "nonsense"}
    assert [each["where"] for each in answer["vips"]] == ["2001:db8::80/64 dev eth9", "203.0.113.80/32 dev eth9"]


def test_an_address_without_an_interface_goes_where_its_route_leads():
    """127.0.0.9 is reached by lo alone, which does not count."""
    vips = read({"vips": ["127.0.0.9", "nonsense"]})["vips"]
    assert [each["interface"] for each in vips] == [None, None]
    routed = json.loads(subprocess.run(["ip", "-json", "route", "get", "203.0.113.80"], capture_output=True, text=True, check=False).stdout or "[{}]")
    assert read({"vips": ["203.0.113.80", "nonsense"]})["vips"][0]["interface"] == routed[0].get("dev")


def test_twenty_thousand_addresses(tmp_path):
    """Through Ansible, by both roles: a request of this size is no argument of a command."""
    variables = {"request": {"vips": MANY, "addresses": MANY}, "output": str(tmp_path), "ansible_python_interpreter": sys.executable}
    (tmp_path / "variables.json").write_text(json.dumps(variables))
    ansible("ansible-playbook", "-i", "localhost,", "-e", f"@{tmp_path}/variables.json", HERE / "reading.yml", home=tmp_path)
    for role in ("director", "real_server"):
        answer = json.loads((tmp_path / f"{role}.json").read_text())
        assert answer["spelling"] == {literal: str(ipaddress.ip_address(literal)) for literal in MANY}
        assert [each["address"] for each in answer["vips"]] == [str(ipaddress.ip_address(literal)) for literal in MANY]
