# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guides tell their readers to run, run as it stands there: a load balancer from nothing, its monitoring, its table as variables."""

from __future__ import annotations

import re
import shlex

import pytest
import yaml

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.support import ROOT, ansible, eventually

pytestmark = pytest.mark.slow

FIRST, MONITORING, MIGRATING = [(ROOT / f"docs/{name}.md").read_text() for name in ("first_load_balancer", "monitoring", "migrating")]
SERVE = "mkdir -p /srv/web; hostname >/srv/web/index.html; systemd-run -q --unit=web --working-directory=/srv/web python3 -m http.server 80"


def blocks(page, language):
    """The blocks of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.S)


def commands(page, prompt="$"):
    """The commands of a page behind this prompt, as words."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines()]
    return [shlex.split(line.removeprefix(prompt)) for line in lines if line.startswith(f"{prompt} ")]


@pytest.fixture(scope="module")
def guide(tmp_path_factory):
    """(lab, folder of the inventory, function that runs a command of a guide there)."""
    folder = tmp_path_factory.mktemp("guide")
    with Lab("guides-test") as lab:
        lab.down()
        lab.up(["lb1:front,group=directors", "web1:gw=lb1,group=real_servers", "web2:gw=lb1,group=real_servers"])
        for name in ("web1", "web2"):
            lab.ssh(name, SERVE, check=True)
        (folder / "inventory.yml").write_text(lab.inventory())  # for the machines of the page, which have the same names

        def run(program, *words):
            return ansible(program, *words, home=folder, cwd=folder, LVS_LAB_CACHE=str(cache_dir())).stdout

        yield lab, folder, run


def answers(lab):
    ask = ["curl", "-sS", "-m", "10", "http://203.0.113.80/"]
    return {lab.exec(ask, capture_output=True, text=True, check=True).stdout.strip() for _number in range(4)}


def table(lab):
    return lab.ssh("lb1", "ipvsadm -Sn", capture_output=True, check=True).stdout


def test_a_load_balancer_from_nothing(guide):
    lab, folder, run = guide
    (folder / "group_vars").mkdir()
    (folder / "group_vars/all.yml").write_text(blocks(FIRST, "yaml")[1])
    check, site, curl, drain, restore = [words for words in commands(FIRST) if words[0] in ("ansible", "ansible-playbook", "curl")]
    assert "+-A -t 203.0.113.80:80 -s wlc" in run(*check)
    assert lab.ssh("lb1", "test -e /proc/net/ip_vs", check=False).returncode, "nothing was changed"
    run(*site)
    assert curl[1] == "http://203.0.113.80/" and answers(lab) == {"web1", "web2"}
    assert not re.search("changed=[1-9]", run(*site))
    run(*drain)
    assert answers(lab) == {"web2"}
    run(*restore)
    # wlc counts closed connections for two minutes, too, so the first ones go to the server that had none.
    eventually(lambda: "web2" in answers(lab) and "web1" in answers(lab) and table(lab).count("-w 1") == 2)


def test_the_table_as_variables(guide):
    lab, folder, run = guide
    before = table(lab)
    (folder / "record.yml").write_text(blocks(MIGRATING, "yaml")[0])
    run("ansible-playbook", "--inventory", "inventory.yml", "record.yml")
    recorded = yaml.safe_load((folder / "host_vars/lb1.yml").read_text())["director_services"]
    assert [(one["address"], [each["address"] for each in one["servers"]]) for one in recorded] == [("203.0.113.80", ["198.51.100.12", "198.51.100.13"])]
    output = run(*[words for words in commands(MIGRATING) if "--check" in words][0])
    assert re.search(r"TASK \[lvs\.ipvs\.director : Set the services and servers that are listed\] \**\s+ok: \[lb1\]", output)
    assert table(lab) == before


def scrape(lab):
    """The values that the exporter gives, by series."""
    fetch = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9100/metrics').read().decode())"
    done = eventually(lambda: [one for one in [lab.ssh("lb1", f'python3 -c "{fetch}"', capture_output=True, check=False)] if not one.returncode])[0]
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if line and not line.startswith("#"))


def test_monitoring(guide):
    """Every metric that the page names is there; a server of weight 0 and a service without servers look as it says."""
    lab, _folder, _run = guide
    (install,) = commands(MONITORING, "#")
    lab.ssh("lb1", shlex.join(install), check=True, capture_output=True)
    lab.ssh("lb1", "systemctl start prometheus-node-exporter", check=True)  # a machine of the lab starts nothing when a package is installed
    add = "ipvsadm -A -t 203.0.113.81:80; ipvsadm -A -f 10; ipvsadm -a -f 10 -r 198.51.100.12"
    lab.ssh("lb1", f"ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 0; {add}", check=True)
    series = scrape(lab)
    lab.ssh("lb1", "ipvsadm -D -t 203.0.113.81:80; ipvsadm -D -f 10", check=True)
    names = {re.match(r"\w+", one)[0] for one in series}
    assert set(re.findall(r"\bnode_(?:ipvs|scrape|systemd)_\w+", MONITORING.replace("instance:node_ipvs_backend_connections_active:sum", ""))) <= names
    server = 'local_address="203.0.113.80",local_mark="",local_port="80",proto="TCP",remote_address="198.51.100.%d",remote_port="80"'
    assert [series[f"node_ipvs_backend_weight{{{server % host}}}"] for host in (12, 13)] == ["0", "1"]
    assert not [one for one in series if "203.0.113.81" in one], "a service without real servers has no series"
    assert [one for one in series if 'local_mark="0000000A"' in one], "a mark is hexadecimal"
    assert series['node_scrape_collector_success{collector="ipvs"}'] == "1"
    assert series['node_systemd_unit_state{name="ipvsadm.service",state="inactive",type="forking"}'] == "1"
