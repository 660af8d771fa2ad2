# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines as an Ansible inventory describes them: what the playbooks lab_create and lab_destroy hand over, and the files that they get.

A request is {"hosts": {NAME: {"lab_...": value}}}: for each host of the group lab its variables lab_*, its inventory_dir, and
ansible_host where it is set.
"""
from __future__ import annotations

import hashlib
import re
import shlex
import time
from pathlib import Path

from . import host, kernels
from .image import SUITES
from .inventory import host_variables, yaml
from .machines import NAME, Lab, Machine
from .molecule import destroy_after, molecule_test
from .network import BACK, FRONT

OF_MACHINES = ("lab_disk", "lab_gateway", "lab_kernel", "lab_memory", "lab_networks", "lab_packages", "lab_suite")
OF_LABS = ("lab_inventory", "lab_name")
WRITTEN = ("lab_back_ipv4", "lab_back_ipv6", "lab_client", "lab_front_ipv4", "lab_front_ipv6")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
MARK = "# Written by the playbook lvs.ipvs.lab_create, removed by lvs.ipvs.lab_destroy.\n"
MOST = 89  # a machine's number is 11 to 99
FEWEST = 64 << 20  # bytes of memory in which a machine boots


class Request:
    """A checked request: the name of the lab, the inventory to write, and the machines."""

    def __init__(self, given):
        hosts = given["hosts"]
        if not hosts:
            raise host.LabError("the inventory has no machines: put them into the group lab")
        shared = {name: one_value(name, hosts) for name in (*OF_LABS, "inventory_dir")}
        self.inventory = inventory_path(shared)
        self.name = shared["lab_name"] or f"lab-{hashlib.sha256(bytes(self.inventory)).hexdigest()[:8]}"
        if not (isinstance(self.name, str) and NAME.fullmatch(self.name)):
            raise host.LabError(f"lab_name: {self.name!r}: give lower-case letters, digits and dashes, a letter first, at most 24")
        self.hosts = hosts

    def machines(self):
        if len(self.hosts) > MOST:
            raise host.LabError(f"the group lab has {len(self.hosts)} machines: a lab takes {MOST}")
        return [machine(name, variables, self.hosts) for name, variables in self.hosts.items()]

    @property
    def files(self):
        return self.inventory, self.inventory.with_suffix(".cfg")


def one_value(variable, hosts):
    """The value of a variable that belongs to the whole lab."""
    values = {name: variables.get(variable) for name, variables in hosts.items()}
    first, *others = values.items()
    for name, value in others:
        if value != first[1]:
            raise host.LabError(f"{variable}: {first[1]!r} for {first[0]}, but {value!r} for {name}: give all machines of the group lab the same value")
    return first[1]


def inventory_path(shared):
    chosen, folder = shared["lab_inventory"], shared["inventory_dir"]
    if chosen is None:
        if not folder:
            raise host.LabError("the inventory is no file: set lab_inventory to the path of the inventory file that lab_create is to write")
        return Path(folder, "lab_machines.yml").absolute()
    if not isinstance(chosen, str) or not chosen.endswith((".yml", ".yaml")):
        raise host.LabError(f"lab_inventory: {chosen!r}: give the path of the inventory file to write, which ends in .yml")
    return Path(folder or ".", chosen).absolute()


def machine(name, variables, hosts):
    """The Machine that these variables describe, checked; an error names machine, variable, value and what would be right."""
    def wrong(variable, right):
        return host.LabError(f"machine {name}: {variable}: {variables[variable]!r}: {right}")

    if not NAME.fullmatch(name):
        raise host.LabError(f"machine {name}: give it a name of lower-case letters, digits and dashes, a letter first, at most 24")
    # Without a setting of its own Ansible has the name there.
    if variables.get("ansible_host", name) not in (name, variables.get("lab_back_ipv4")):
        raise wrong("ansible_host", "remove it, since a machine gets its address from the lab; or take the host out of the group lab")
    for variable in variables:
        if variable.startswith("lab_") and variable not in (*OF_MACHINES, *OF_LABS, *WRITTEN):
            raise wrong(variable, f"there is no such variable; there are {', '.join(sorted((*OF_MACHINES, *OF_LABS)))}")
    made = Machine(name)
    if "lab_suite" in variables:
        made.suite = chosen(variables["lab_suite"], SUITES) or fail(wrong("lab_suite", f"give one of {', '.join(SUITES)}"))
    if "lab_kernel" in variables:
        made.kernel = chosen(variables["lab_kernel"], kernels.NAMES) or fail(wrong("lab_kernel", f"give one of {', '.join(kernels.NAMES)}"))
    if "lab_memory" in variables:
        made.memory = memory(variables["lab_memory"]) or fail(wrong("lab_memory", "give a size of at least 64M, such as 256M or 1G"))
    if "lab_networks" in variables:
        networks = variables["lab_networks"]
        if not is_list(networks, (BACK, FRONT).__contains__) or BACK not in networks:
            raise wrong("lab_networks", "give [back] or [back, front]; SSH comes over the network back")
        made.front = FRONT in networks
    if variables.get("lab_disk") is not None:
        if not isinstance(variables["lab_disk"], str) or not Path(variables["lab_disk"]).is_file():
            raise wrong("lab_disk", "give the path of a file that the lab's command disk has made")
        made.disk = str(Path(variables["lab_disk"]).absolute())
    if variables.get("lab_gateway") is not None:
        made.gateway = chosen(variables["lab_gateway"], [each for each in hosts if each != name])
        if not made.gateway:
            raise wrong("lab_gateway", "give the name of another machine of the group lab")
    if "lab_packages" in variables:
        made.packages = variables["lab_packages"]
        if not is_list(made.packages, PACKAGE.fullmatch):
            raise wrong("lab_packages", "give a list of names of Debian packages")
    return made


def fail(error):
    raise error


def chosen(value, known):
    return value if isinstance(value, str) and value in known else None


def memory(value):
    try:
        return value.upper() if isinstance(value, str) and host.size(value) >= FEWEST else None
    except host.LabError:
        return None


def is_list(value, right):
    return isinstance(value, list) and all(isinstance(each, str) and right(each) for each in value)


def create(given):
    """Boot what is not running yet, and write the files that lead to all machines; the names of those booted."""
    request = Request(given)
    machines = request.machines()
    host.need(host.FOR_MACHINES)
    for path in request.files:
        check_own(path)
    request.inventory.parent.mkdir(parents=True, exist_ok=True)
    process = molecule_test()
    if process:
        destroy_after(process, given)
    lab = Lab(request.name, owner=request.inventory.parent, process=process)
    booted = lab.boot_all(machines)
    inventory, configuration = request.files
    variables = {
        "ansible_connection": "ssh", "ansible_user": "root", "ansible_python_interpreter": "/usr/bin/python3", "ansible_pipelining": True,
        # Instead of the words for a shared connection that Ansible has by itself: the one of an earlier lab at this address would hang.
        "ansible_ssh_args": shlex.join(["-F", str(configuration)]),
    }
    hosts = {each.name: host_variables(each) for each in lab.machines.values() if each.name in request.hosts}
    program = [host.PYTHON, str(Path(__file__).resolve().parent)]
    everybody = {"lab_name": lab.name, "lab_client": [*program, "exec", "--lab", lab.name]}
    write(configuration, ssh_configuration(lab))
    write(inventory, yaml({"all": {"vars": everybody, "children": {"lab": {"vars": variables, "hosts": hosts}}}}))
    return booted


def ssh_configuration(lab):
    """What ssh -F takes: the machines by their names and by their addresses."""
    lines = []
    for each in lab.machines.values():
        lines += [f"Host {each.name}", f"    HostName {each.address}"]
    words = lab.ssh_options()[1::2]
    settings = [word.partition("=") for word in words]
    lines += ["Host *", "    User root", *[f"    {name} {value if name == 'ProxyCommand' else quoted(value)}" for name, _equals, value in settings]]
    return "\n".join(lines) + "\n"


def quoted(value):
    return f'"{value}"' if " " in value else value


def write(path, text):
    new = path.with_name(f".{path.name}.new")
    new.write_text(MARK + text)
    new.rename(path)


def check_own(path):
    if path.exists() and not path.read_text(errors="replace").startswith(MARK):
        raise host.LabError(f"{path} is there and was not written by lab_create: move it, or set lab_inventory to another path")


def destroy(given, process=None):
    """End the lab and remove its files; whether anything was there. With a PROCESS: when that has ended, and only the lab that came up with it."""
    while process and host.is_alive(process):
        time.sleep(0.5)
    request = Request(given)
    for path in request.files:
        check_own(path)
    lab = Lab(request.name, process=process)
    there = lab.directory.exists() or any(path.exists() for path in request.files)
    if not lab.down():
        return False
    for path in request.files:
        path.unlink(missing_ok=True)
    return there


def init(folder, scenario):
    """Write a scenario into the repository FOLDER; the paths of its files."""
    place = Path(folder) / "molecule" / scenario
    if place.exists():
        raise host.LabError(f"{place} is there already: choose another name with -e lab_scenario=NAME")
    source = Path(__file__).resolve().parent / "scenario"
    # As text: whoever checks this collection would take its parts for playbooks of ours.
    files = {place / path.relative_to(source).with_suffix(""): path.read_text() for path in sorted(source.rglob("*.txt"))}
    files[place / "inventory/.gitignore"] = "lab_machines.*\n"
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(files)
