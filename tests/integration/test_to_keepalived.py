# SPDX-License-Identifier: GPL-3.0-or-later
"""What keepalived does with a configuration of to_keepalived: the table is that of ipvs_table, and checks are what was asked for."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.filter.to_keepalived import to_keepalived
from tests import keepalived_lists
from tests.support import eventually

from .conftest import glance, new_netns

pytestmark = pytest.mark.once

UNCHECKED = {"type": "none"}
few = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@contextlib.contextmanager
def running(daemon, services):
    """keepalived with the services, once it has started."""
    daemon.start(to_keepalived(services))
    try:
        eventually(lambda: "Startup complete" in daemon.log.read_text() or daemon.process.poll() is not None)
        yield
    finally:
        daemon.stop()


def unchecked(services):
    return [dict(service, check=UNCHECKED, servers=[dict(server, check=UNCHECKED) for server in service["servers"]]) for service in services]


def held(ipvs, daemon, services):
    """Fail unless ipvs_table has nothing to do where keepalived has made the table."""
    with running(daemon, services):
        table = {"services": services, "purge_servers": True, "prune": True, "prune_force": True}
        eventually(lambda: len(ipvs.module("ipvs_info")["services"]) == len(services))
        assert ipvs.module("ipvs_table", check=True, **table)["commands"] == []


def test_the_table_is_that_of_ipvs_table(ipvs, drains, keepalived):
    held(ipvs, keepalived, unchecked(keepalived_lists.EVERYTHING))


def test_random_tables_are_those_of_ipvs_table(ipvs, drains, keepalived):
    @few
    @given(st.lists(keepalived_lists.services(st.just(UNCHECKED)), min_size=1, max_size=5, unique_by=keepalived_lists.named))
    def same(services):
        assume("twos" not in [service["scheduler"] for service in services])  # which the lab's kernel does not have
        with new_netns():
            held(ipvs, keepalived, services)

    same()


def test_keepalived_takes_over_the_table_of_ipvs_table(ipvs, drains, keepalived):
    services = unchecked(keepalived_lists.EVERYTHING)
    ipvs.module("ipvs_table", services=services)
    held(ipvs, keepalived, services)


def test_checks_are_read_as_they_were_meant(ipvs, drains, keepalived):
    file = keepalived.path.with_name("keepalived_check.data")
    with running(keepalived, keepalived_lists.EVERYTHING):
        keepalived.process.send_signal(signal.SIGUSR1)
        # its last section is that of the files by which servers are drained, one for each address
        eventually(lambda: file.exists() and file.read_text().count("Tracking instances :") == 5)
    dump = file.read_text()
    for line in (
        f'Regex = "{keepalived_lists.REGEX}"',
        "Checked url = /health?a=b&c=%20;x",
        "digest = 0123456789abcdef0123456789abcdef",
        "Virtual host = www.example.com",
        "Virtual host = b.example.com",
        "301-302",
        "Type = AAAA",
        "Name = www.example.com",
        "Dest = [198.51.100.12]:22",
        "Delay loop = 500000 us",
        "Timeout = 4.000000",
        "Delay before retry = 0 us",
    ):
        assert f" {line}\n" in dump, line
    kinds = {word for line in dump.splitlines() for word in line.replace(",", "").split() if "Keepalive method = " in line}
    assert {"TCP_CHECK", "HTTP_GET", "SSL_GET", "SMTP_CHECK", "DNS_CHECK", "UDP_CHECK", "PING_CHECK", "FILE_CHECK"} <= kinds


def test_a_command_gets_its_words(ipvs, drains, keepalived):
    script, told = Path("/usr/local/libexec/words"), Path("/var/lib/ipvs-director/words")
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(f'#!/bin/sh\n[ -s {told} ] || printf "%s\\n" "$@" > {told}\n')
    script.chmod(0o755)
    told.touch()
    told.chmod(0o666)
    with open("/etc/passwd", "a") as users:  # the lab's own
        users.write("keepalived_script:x:65533:65534::/nonexistent:/usr/sbin/nologin\n")
    words = ["a b", "#", "!", "{x}", "", "--as=b", ";", "|", "*", "~", "%s"]
    command = " ".join([str(script), *(f"'{word}'" for word in words)])
    services = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11", "check": {"type": "script", "command": command}}]}]
    with running(keepalived, services):
        eventually(told.read_text)
        assert told.read_text().splitlines() == words
        eventually(lambda: " Route   1 " in glance())  # its check has succeeded
