# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps virtual services, on made-up /proc trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _owners

VRRP = "vrrp_instance one {\n  interface eth0\n  virtual_ipaddress {\n    203.0.113.80\n  }\n}\n"
SERVER = "virtual_server 203.0.113.80 80 {\n  lb_algo rr\n}\n"


class Node:
    """Processes and files. A process is in this network namespace if not told otherwise, and has ``files`` as its root directory."""

    def __init__(self, folder: Path):
        self.folder, self.proc, self.root = folder, folder / "proc", folder / "files"
        self.root.mkdir()
        self.proc.mkdir()
        (self.proc / "version").write_text("Linux")

    def run(self, *words: str, comm: str = "", exe: str = "", net: str = "/proc/self/ns/net", cwd: str = "/", mnt: str = "/proc/self/ns/user") -> Path:
        name = os.path.basename(words[0])
        process = self.proc / str(len(list(self.proc.iterdir())))
        (process / "ns").mkdir(parents=True)
        (process / "comm").write_text((comm or name)[:15] + "\n")
        (process / "cmdline").write_text("".join(word + "\0" for word in words))
        (process / "exe").symlink_to(exe or "/usr/sbin/" + name)
        (process / "ns/net").symlink_to(net)
        (process / "ns/mnt").symlink_to(mnt)
        (process / "root").symlink_to(self.root)
        (process / "cwd").symlink_to(cwd)
        return process

    def put(self, name: str, text: str) -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def owners(self) -> list[str]:
        return _owners.find(None, str(self.proc))


@pytest.fixture
def node(tmp_path, monkeypatch):
    monkeypatch.setattr(_owners, "_INTERFACES", {})  # this machine's are its own
    return Node(tmp_path)


def test_nobody(node):
    node.run("/usr/bin/bash")
    node.run("/usr/bin/keepalived_exporter", comm="keepalived-expo", exe="/usr/bin/keepalived-exporter")
    node.run("/usr/bin/vim", "/etc/keepalived/keepalived.conf")
    node.run("/usr/bin/kube-proxy")
    (node.proc / "77").mkdir()  # a process that has ended
    kernel = node.run("keepalived")
    (kernel / "cmdline").write_text("")
    assert node.owners() == []


def test_the_others(node):
    node.run("/usr/bin/perl", "-w", "/usr/sbin/ldirectord", "start", comm="ldirectord tcp:203.0.113.80:80", exe="/usr/bin/perl")
    router = "kube-router (running, with its service proxy)"
    node.run("/usr/local/bin/kube-router", "--run-router=true", "--run-service-proxy=true")
    assert node.owners() == [router, "ldirectord (running)"]


@pytest.mark.parametrize(
    ("flag", "owns"),
    [("--run-service-proxy=false", False), ("--run-service-proxy=F", False), ("--run-service-proxy", True), ("--run-firewall=false", True)],
)
def test_kube_router_without_its_service_proxy(node, flag, owns):
    node.run("kube-router", flag)
    assert bool(node.owners()) == owns


def test_interfaces(monkeypatch, node):
    monkeypatch.setattr(_owners, "_INTERFACES", {"lo": "kube-proxy", "kube-dummy-if0": "kube-router"})
    assert node.owners() == ["kube-proxy (interface lo)"]


KEEPALIVED = {
    "only VRRP": (VRRP, False),
    "a virtual server": (VRRP + SERVER, True),
    "a group and no server": ("virtual_server_group web {\n 203.0.113.80 80\n}\n", False),
    "in a comment": ("# virtual_server 203.0.113.80 80 {\n   ! virtual_server 203.0.113.81 80\nx # virtual_server\n" + VRRP, False),
    "after an escaped comment": ("x \\# virtual_server 203.0.113.80 80 {\n", True),
    "after a quoted comment": ('x "a # b" virtual_server\n', True),
    "after an open quote": ('x "a # virtual_server\n', True),
    "with a condition": ("@one virtual_server 203.0.113.80 80 {\n", True),
    "as a definition": ("$SERVICE=virtual_server\n", True),
    "in the name of a file": ("notify /etc/keepalived/virtual_server.sh\nnotify /opt/virtual_server\n", False),
    "nothing": ("", False),
}


@pytest.mark.parametrize("text, owns", KEEPALIVED.values(), ids=KEEPALIVED)
def test_keepalived_owns_what_is_in_its_configuration(node, text, owns):
    node.put("/etc/keepalived/keepalived.conf", text)
    node.run("/usr/sbin/keepalived", "--dont-fork", "-D")
    node.run("/usr/sbin/keepalived", "--dont-fork", "-D", comm="keepalived_vrrp")
    assert node.owners() == (["keepalived (running, with virtual servers in /etc/keepalived/keepalived.conf)"] if owns else [])


@pytest.mark.parametrize(
    "words",
    [
        ["-f", "/srv/lvs.conf"],
        ["-f/srv/lvs.conf"],
        ["-nlDf", "/srv/lvs.conf", "-p", "/run/k.pid"],
        ["--use-file=/srv/lvs.conf", "--dont-fork"],
        ["--use-file", "/srv/lvs.conf"],
        ["--use", "/srv/lvs.conf"],
        ["-f", "/etc/keepalived/keepalived.conf", "-f", "/srv/lvs.conf"],
        ["-f", "lvs.conf"],
        ["-P", "--all", "-f", "/srv/lvs.conf"],
        ["-f", "/srv/*.conf"],
    ],
    ids=" ".join,
)
def test_the_file_on_the_command_line(node, words):
    node.put("/etc/keepalived/keepalived.conf", VRRP)
    node.put("/srv/lvs.conf", SERVER)
    node.run("/usr/sbin/keepalived", *words, cwd="/srv")
    assert node.owners() == ["keepalived (running, with virtual servers in /srv/lvs.conf)"]


@pytest.mark.parametrize(
    "words",
    [["-P"], ["--vrrp"], ["-nDP"], ["-t"], ["--config-test", "-f", "/etc/keepalived/keepalived.conf"], ["-f", "/srv/vrrp.conf"]],
    ids=" ".join,
)
def test_a_keepalived_that_is_no_checker(node, words):
    node.put("/etc/keepalived/keepalived.conf", SERVER)
    node.put("/srv/vrrp.conf", VRRP)
    node.run("/usr/sbin/keepalived", *words)
    assert node.owners() == []


def test_included_files(node):
    node.put("/etc/keepalived/keepalived.conf", VRRP + "include conf.d/*.conf\n include_check readable\n@x include /nowhere\n")
    node.put("/etc/keepalived/conf.d/one.conf", "includea ../more/two  # again\ninclude one.conf\n")
    node.put("/etc/keepalived/conf.d/other.txt", SERVER)
    (node.root / "etc/keepalived/conf.d/folder.conf").mkdir()
    node.put("/etc/keepalived/more/two", VRRP)
    node.run("keepalived")
    assert node.owners() == []
    node.put("/etc/keepalived/more/two", SERVER)
    assert node.owners() == ["keepalived (running, with virtual servers in /etc/keepalived/more/two)"]


@pytest.mark.parametrize("replaced", ["", " (deleted)"])
def test_a_keepalived_that_was_built_by_hand(node, replaced):
    node.put("/usr/local/etc/keepalived/keepalived.conf", SERVER)
    node.run("keepalived", exe="/usr/local/sbin/keepalived" + replaced, comm="renamed")
    assert node.owners() == ["keepalived (running, with virtual servers in /usr/local/etc/keepalived/keepalived.conf)"]


@pytest.mark.parametrize(
    ("text", "words", "why"),
    [
        (None, [], "/etc/keepalived/keepalived.conf: No such file or directory"),
        (VRRP, ["-f", "/srv/gone.conf"], "/srv/gone.conf: No such file or directory"),
        (VRRP, ["--strange"], "command line: option --strange not recognized"),
        (VRRP + "include /srv/gone.conf\n", [], "/srv/gone.conf: No such file or directory"),
        (VRRP + "include /srv/{one,two}.conf\n", [], "/srv/{one,two}.conf: not a name of files"),
        (VRRP + "include /etc/keepalived/link\n", [], "/etc/keepalived/link: a symbolic link in another file system"),
        (VRRP + "include /link/keepalived.conf\n", [], "/link/keepalived.conf: a symbolic link in another file system"),
    ],
)
def test_a_keepalived_of_which_nobody_knows_what_it_does(node, text, words, why):
    if text is not None:
        node.put("/etc/keepalived/keepalived.conf", text)
        (node.root / "etc/keepalived/link").symlink_to("/etc/hostname")
        (node.root / "link").symlink_to("/etc/keepalived")
    node.run("keepalived", *words)
    assert node.owners() == [f"keepalived (running; its configuration can't be read: {why})"]


def test_a_process_that_cannot_be_looked_into(node):
    for name in ("cwd", "exe", "ns/net"):
        process = node.run("keepalived")
        node.put("/etc/keepalived/keepalived.conf", SERVER)
        (process / name).unlink()
        [owner] = node.owners()
        assert ("can't be read: No such file or directory" if name == "cwd" else "with virtual servers") in owner
        (process / "cmdline").unlink()


def test_a_process_in_another_network_namespace(node):
    node.put("/etc/keepalived/keepalived.conf", SERVER)
    process = node.run("keepalived", net="/proc/self/ns/user")
    node.run("ldirectord", net="/proc/self/ns/user")
    assert node.owners() == []
    (process / "ns/net").unlink()
    assert len(node.owners()) == 1


def test_links_are_followed_in_our_own_file_system(node, tmp_path):
    """A process whose root directory is ours, as most have it."""
    (tmp_path / "real.conf").write_text(SERVER)
    (tmp_path / "link.conf").symlink_to(tmp_path / "real.conf")
    process = node.run("keepalived", "-f", str(tmp_path / "link.conf"), mnt="/proc/self/ns/mnt")
    (process / "root").unlink()
    (process / "root").symlink_to("/")
    assert node.owners() == [f"keepalived (running, with virtual servers in {tmp_path}/link.conf)"]


def keepalived_services(node):
    services, problems = _owners.keepalived_services(None, str(node.proc))
    return sorted(map(str, services)), problems


def test_the_services_of_a_keepalived(node):
    node.put("/etc/keepalived/keepalived.conf", VRRP + "include more.conf\n")
    node.put("/etc/keepalived/more.conf", SERVER)
    assert keepalived_services(node) == ([], [])  # it doesn't run
    for name in ("keepalived", "keepalived_healthcheckers"):
        node.run("/usr/sbin/keepalived", "--dont-fork", comm=name)
    node.put("/srv/other.conf", "virtual_server 203.0.113.81 80 {\n}\n")
    node.run("keepalived", "-f", "/srv/other.conf")
    node.run("keepalived", "-f", "/srv/elsewhere.conf", net="/proc/self/ns/user")
    assert keepalived_services(node) == (["tcp 203.0.113.80:80", "tcp 203.0.113.81:80"], [])
    node.run("keepalived", "-f", "/srv/gone.conf")
    assert keepalived_services(node)[1] == ["/srv/gone.conf: No such file or directory"]


def test_the_services_are_those_of_keepalived_and_of_no_other_program(node):
    node.put("/etc/keepalived/keepalived.conf", SERVER)
    node.run("haproxy")
    assert keepalived_services(node) == ([], [])


def test_the_files_of_one_whose_root_directory_is_another(node):
    node.put("/etc/keepalived/keepalived.conf", SERVER)
    node.run("keepalived", mnt="/proc/self/ns/mnt")
    assert keepalived_services(node) == (["tcp 203.0.113.80:80"], [])
