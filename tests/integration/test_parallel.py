# SPDX-License-Identifier: GPL-3.0-or-later
"""Several tasks at once on one director, each in a process of its own, and many drains in a row under load."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support import eventually

from .modules import ModuleFailed, run_module
from .site import SERVERS, SERVICE, Load, Site, nat

pytestmark = [pytest.mark.once, pytest.mark.slow]

TASKS = 8
ROUNDS = 5
DRAINS = 100


def started(number, folder, start, tasks):
    """A process that runs these tasks, (name, options), once ``start`` is there; it leaves what came of them in the folder."""
    child = os.fork()
    if child:
        return child
    results = []
    try:
        eventually(start.exists)
        for name, options in tasks:
            try:
                results.append(run_module(name, **options))
            except ModuleFailed as failure:
                results.append(failure.result)
        (folder / f"{number}.json").write_text(json.dumps(results))
    finally:
        os._exit(0)


def at_once(folder, lists):
    """What came of lists of tasks, (name, options), that run at the same time."""
    folder.mkdir()
    start = folder / "start"
    children = [started(number, folder, start, tasks) for number, tasks in enumerate(lists)]
    start.touch()
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
    return [json.loads((folder / f"{number}.json").read_text()) for number in range(len(lists))]


def server(number):
    return {"address": f"198.51.100.{number}", "forward_method": "nat"}


def service(number):
    return {"address": f"203.0.113.{number}", "port": 80, "scheduler": "rr"}


def test_eight_tasks_on_services_of_their_own(ipvs, tmp_path):
    lists = []
    for number in range(TASKS):
        full = ("ipvs_service", {**service(number), "servers": [server(1), server(2)], "purge_servers": True})
        less = ("ipvs_table", {"services": [{**service(number), "scheduler": "wrr", "servers": [server(1)]}], "purge_servers": True})
        lists.append([full, less, ("ipvs_service", {**service(number), "state": "absent"})] * ROUNDS + [full])
    for results in at_once(tmp_path / "tasks", lists):
        assert not [result for result in results if result.get("failed")]
        assert all(result["changed"] for result in results)
    lines = [f"-A -t 203.0.113.{number}:80 -s rr" for number in range(TASKS)]
    lines += [f"-a -t 203.0.113.{number}:80 -r 198.51.100.{each}:80 -m -w 1" for number in range(TASKS) for each in (1, 2)]
    assert ipvs.saved() == sorted(lines)


def test_eight_tasks_on_servers_of_one_service(ipvs, tmp_path):
    ipvs.module("ipvs_service", **service(80))
    place = {"service_address": "203.0.113.80", "service_port": 80}
    lists = []
    for number in range(TASKS):
        there, gone = (("ipvs_server", {**place, **server(number + 1), "state": state}) for state in ("present", "absent"))
        lists.append([there, gone] * ROUNDS + [there])
    for results in at_once(tmp_path / "tasks", lists):
        assert not [result for result in results if result.get("failed")]
        assert all(result["changed"] for result in results)
    assert ipvs.saved() == sorted(
        ["-A -t 203.0.113.80:80 -s rr", *(f"-a -t 203.0.113.80:80 -r 198.51.100.{number + 1}:80 -m -w 1" for number in range(TASKS))]
    )


def test_eight_drains_leave_the_services_a_server_and_come_back(ipvs, tmp_path):
    """Each alone is allowed, all together would leave the service without a server: who comes last is refused."""
    servers = [{**server(number + 1), "weight": number + 1} for number in range(TASKS)]
    ipvs.module("ipvs_service", **service(80), servers=servers)
    before = ipvs.saved()
    options = {"state_directory": str(tmp_path / "state"), "drain_interval": 0.05}
    drains = [[("ipvs_drain", {**options, "addresses": [each["address"]]})] for each in servers]
    results = [result for result, in at_once(tmp_path / "drains", drains)]
    refused = [result["msg"] for result in results if result.get("failed")]
    assert len(refused) == 1 and refused[0].startswith("No server would accept new connections"), refused
    assert sorted(line.split(" -w ")[1] for line in ipvs.saved() if line.startswith("-a"))[: TASKS - 1] == ["0"] * (TASKS - 1)
    restores = [[("ipvs_drain", {**options, "addresses": [each["address"]], "state": "restored"})] for each in servers]
    assert not [result for result, in at_once(tmp_path / "restores", restores) if result.get("failed")]
    assert ipvs.saved() == before


def test_the_same_task_eight_times_at_once(ipvs, tmp_path):
    """As one task would have it, whoever was first; nobody is told of a failure that leaves anything behind."""
    options = {"services": [{**service(number), "servers": [server(1), server(2)]} for number in range(20)], "purge_servers": True}
    results = [result for result, in at_once(tmp_path / "tasks", [[("ipvs_table", options)]] * TASKS)]
    assert not [result for result in results if result.get("failed")]
    assert any(result["changed"] for result in results)
    assert not ipvs.module("ipvs_table", **options, prune=True)["changed"]


def test_a_hundred_drains_and_restores_under_load(ipvs, tmp_path):
    with Site() as site:
        ipvs.module("ipvs_service", **SERVICE, scheduler="rr", servers=[nat("rs1"), nat("rs2")])
        Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("1")
        before = ipvs.saved()
        options = {"state_directory": str(tmp_path / "state"), "drain_interval": 0.05, "drain_timeout": 600}
        with Load(site) as load:
            for number in range(DRAINS):
                address = list(SERVERS.values())[number % 2]
                assert ipvs.module("ipvs_drain", addresses=[address], **options)["drained"]
                assert ipvs.module("ipvs_drain", addresses=[address], state="restored", **options)["changed"]
        assert (load.failed_requests, load.broken_connections) == (0, 0), load.errors
        assert set(load.answers) == set(SERVERS) and load.requests > DRAINS
        assert ipvs.saved() == before
