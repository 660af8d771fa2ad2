# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole machines: a kernel, a disk, systemd and sshd each, on a network of their own."""
from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import host, kernels
from .image import SUITES, image, key
from .inventory import inventory
from .network import BACK, FRONT, Network, addresses, filter_of, mac

INSIDE = Path(__file__).resolve().parent / "inside.py"
NAME = re.compile(r"[a-z][a-z0-9-]{0,23}")
OWNER, PROCESS = "owner", "process"
BOOT_LIMIT, BOOT_LIMIT_EACH = 180, 20  # seconds to the ssh banner, of a lab and of each machine; it takes about 5, more when the box is busy


@dataclass
class Machine:
    """What a machine is asked to be. Its addresses follow from its number: 198.51.100.11 is number 11."""

    name: str
    suite: str = SUITES[0]
    memory: str = "256M"
    front: bool = False
    gateway: str | None = None  # the machine that its default route leads through
    groups: list = field(default_factory=list)
    packages: list = field(default_factory=list)  # that apt on the machine can install, besides the usual ones
    disk: str | None = None
    kernel: str = kernels.DEBIAN
    number: int = 0

    @classmethod
    def parse(cls, spec, **defaults):
        """NAME[:OPTION,...] with the options front, gw=NAME, group=NAME, mem=SIZE, disk=FILE, kernel=NAME, bookworm, trixie."""
        name, _colon, options = spec.partition(":")
        if not NAME.fullmatch(name):
            raise host.LabError(f"machine {name!r}: a name is lower-case letters, digits and dashes, a letter first, at most 24")
        machine = cls(name, **defaults)
        for option in filter(None, options.split(",")):
            word, _equals, value = option.partition("=")
            if option == "front":
                machine.front = True
            elif option in SUITES:
                machine.suite = option
            elif word == "gw" and value:
                machine.gateway = value
            elif word == "group" and value:
                machine.groups.append(value)
            elif word == "mem" and value:
                machine.memory = value
            elif word == "kernel" and value in kernels.NAMES:
                machine.kernel = value
            elif word == "disk" and value:
                machine.disk = os.path.abspath(value)
            else:
                known = ", ".join(["front", "gw=NAME", "group=NAME", "mem=SIZE", "disk=FILE", *[f"kernel={each}" for each in kernels.NAMES], *SUITES])
                raise host.LabError(f"machine {name}: unknown option {option!r}; there are {known}")
        return machine

    @property
    def address(self):
        return addresses(BACK, self.number)[0]

    @property
    def addresses(self):
        return [address for net in self.networks for address in addresses(net, self.number)]

    @property
    def networks(self):
        return [BACK, FRONT] if self.front else [BACK]


class Lab:
    """Machines and their network under one name. Several labs live side by side, each in namespaces of its own.

    As a context manager it takes everything down at the end. Methods raise LabError with a text for whoever called.
    ``place``: where the lab has its folder, if not with the labs of this checkout; ``owner``, ``process``: a folder and a process (of host.identity)
    without which nobody needs the lab.
    """

    def __init__(self, name="lab", say=host.say, place=None, owner=None, process=None):
        if not NAME.fullmatch(name):
            raise host.LabError(f"lab {name!r}: a name is lower-case letters, digits and dashes, a letter first, at most 24")
        self.name, self.say, self.owner, self.process = name, say, owner, process
        self.directory = Path(place or host.run_dir()) / f"lab.{name}"
        self.network = Network(self.directory)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.down()

    @staticmethod
    def names():
        """Of every lab that this user has, up or in pieces."""
        return sorted(path.name.partition(".")[2] for path in host.run_dir().glob("lab.*"))

    # -- what there is

    @property
    def machines(self):
        """Every machine of the lab by name, running or not."""
        try:
            known = json.loads((self.directory / "machines.json").read_text())
        except OSError:
            return {}
        return {each["name"]: Machine(**each) for each in known}

    def machine(self, name):
        machines = self.machines
        if name not in machines:
            raise host.LabError(f"lab {self.name} has no machine {name!r}" + (f"; it has {', '.join(machines)}" if machines else ": it is not up"))
        return machines[name]

    def is_running(self, name):
        return bool(host.kernels(self.directory / name))

    def console(self, name):
        """The file with what the machine's kernel and systemd said."""
        self.machine(name)
        return self.directory / name / "console"

    # -- up and down

    def up(self, specs, suite=SUITES[0], memory="256M", wait=True, kernel=kernels.DEBIAN):
        """Boot machines (see Machine.parse) into the lab, and wait until ssh answers. Those already up stay as they are.

        One that was switched off gets a new disk (restart keeps it). When it fails or is interrupted, what this call has started is gone again.
        """
        self.boot_all([Machine.parse(spec, suite=suite, memory=memory, kernel=kernel) for spec in specs], wait)

    def boot_all(self, wanted, wait=True):
        """up for a list of Machine; the names of those that were not running before."""
        self.check_plan(wanted)
        host.need_user_namespaces()
        self.sweep()
        disks = {each.name: Path(each.disk) if each.disk else image(each.suite, each.kernel, each.packages) for each in wanted}
        with self.locked():
            fresh = not self.is_up()
            if fresh:
                self.clear()  # what a lab that crashed has left
            new = [each for each in wanted if not self.is_running(each.name)]
            try:
                if fresh:
                    self.directory.mkdir(mode=0o700)
                    if self.owner:
                        (self.directory / OWNER).symlink_to(self.owner)
                    if self.process:
                        (self.directory / PROCESS).write_text(self.process)
                    self.network.up()
                self.start(new, disks, wait)
            except BaseException:
                if fresh:
                    self.clear()
                else:
                    self.remove([each.name for each in new])
                raise
        return [each.name for each in new]

    def is_up(self):
        return (self.directory / "machines.json").exists() and self.network.is_up()

    def remove(self, names):
        for name in names:
            host.stop_kernels(self.directory / name)
            shutil.rmtree(self.directory / name, ignore_errors=True)
        self.write({name: each for name, each in self.machines.items() if name not in names})

    def check_plan(self, wanted):
        names = [each.name for each in wanted]
        for each in wanted:
            if names.count(each.name) > 1:
                raise host.LabError(f"machine {each.name} is named twice")
            if each.gateway and each.gateway not in {*names, *self.machines}:
                raise host.LabError(f"machine {each.name}: its gateway {each.gateway} is no machine of this lab")
            host.size(each.memory)
            if each.disk and not Path(each.disk).is_file():
                raise host.LabError(f"machine {each.name}: no disk {each.disk}")

    def start(self, new, disks, wait):
        begin = time.monotonic()
        machines = self.machines
        taken = {each.number for each in machines.values()}
        for each in new:
            each.number = machines[each.name].number if each.name in machines else next(n for n in range(11, 100) if n not in taken)
            taken.add(each.number)
            machines[each.name] = each
        self.write(machines)
        for each in new:
            folder = self.directory / each.name
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            (folder / "base").symlink_to(disks[each.name])
            self.boot(each)
        if wait:
            self.wait(new, begin)

    def boot(self, machine):
        """Start the machine's kernel; its disk is what the file cow has over the base."""
        folder = self.directory / machine.name
        arguments = [
            str(kernels.kernel(machine.kernel).binary), f"mem={machine.memory}", f"ubd0={folder}/cow,{folder}/base", "root=/dev/ubda", "rw", "rootfstype=ext4",
            *host.KERNEL_FLAGS, "loglevel=5", "con=null", "con0=null,fd:1", "ssl=null", f"uml_dir={folder}", "umid=kernel",
            f"systemd.hostname={machine.name}", f"lab.name={machine.name}",
        ]
        for index, net in enumerate(machine.networks):
            socket = self.network.plug(machine.name, net, machine.number)
            # Without a mac of its own a machine would come back from a reboot as another one.
            ipv4, ipv6 = addresses(net, machine.number)
            own = mac(net, machine.number)
            (folder / f"{net}.bpf").write_bytes(filter_of(own))
            device = f"transport=raw,ifname={socket},depth=64,gro=1,mac={own},bpffile={folder}/{net}.bpf"
            arguments += [f"vec{index}:{device}", f"lab.eth{index}={ipv4}/24,{ipv6}/64"]
        arguments.append("lab.gw=" + ",".join(self.gateway(machine)))
        host.detach(
            [*self.network.inside(self.network.socket_hold), *arguments], folder / "console",
            env=host.kernel_environment(folder, machine.memory), preexec_fn=host.bind_to_one_cpu)

    def gateway(self, machine):
        if machine.gateway:
            return addresses(BACK, self.machine(machine.gateway).number)
        return addresses(FRONT if machine.front else BACK, 1)

    def wait(self, machines, begin):
        waiting = {each.address: each for each in machines}
        if not waiting:
            return
        limit = BOOT_LIMIT + BOOT_LIMIT_EACH * len(waiting)
        command = [*self.network.inside(), host.PYTHON, "-IS", str(INSIDE), "wait", str(limit), *waiting]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiter:
            answers = select.poll()  # select(2) takes no file beyond the 1024th
            answers.register(waiter.stdout, select.POLLIN)
            try:
                while waiting:
                    if answers.poll(1000):
                        each = waiting.pop(waiter.stdout.readline().strip(), None)
                        if each is None:
                            raise self.boot_error(waiting, f"no ssh within {limit} s")
                        self.say(f"{each.name} is up at {each.address} after {time.monotonic() - begin:.1f} s")
                    else:
                        dead = {key: each for key, each in waiting.items() if not self.is_running(each.name)}
                        if dead:
                            raise self.boot_error(dead, "its kernel ended")
            finally:
                waiter.kill()

    def boot_error(self, machines, why):
        name = next(iter(machines.values())).name
        tail = self.console(name).read_text(errors="replace")[-2000:].strip()
        return host.LabError(f"machine {name} did not come up: {why}. Its console ended with:\n{tail}")

    def restart(self, name):
        """Pull the machine's plug and boot it again from its own disk; the way to reboot in order is `reboot` on it."""
        machine = self.machine(name)
        with self.locked():
            host.stop_kernels(self.directory / name)
            (self.directory / self.control(machine)).unlink(missing_ok=True)
            begin = time.monotonic()
            self.boot(machine)
            self.wait([machine], begin)

    def down(self):
        """End everything of this lab and remove it; also what a lab that crashed has left. Fine when nothing is there.

        With a ``process`` only the lab that came up with it; whether there is no other one.
        """
        with self.locked():
            if self.process and self.directory.exists() and self.asked_by() != self.process:
                return False
            self.clear()
        leave(self.directory.parent)
        return True

    def asked_by(self):
        """The process that the lab came up with, if any."""
        try:
            return (self.directory / PROCESS).read_text()
        except OSError:
            return None

    def is_needed(self):
        owner, process = self.directory / OWNER, self.asked_by()
        return self.is_up() and (owner.exists() or not owner.is_symlink()) and (process is None or host.is_alive(process))

    @classmethod
    def sweep(cls):
        """End what nobody needs any more: this user's labs that a crash or a reboot of the box has left in pieces, and those whose owner or process is gone."""
        for place in host.user_dir().iterdir():
            for directory in place.glob("lab.*"):
                lab = cls(directory.name.partition(".")[2], place=place)
                lock = lab.locked()
                if not lock.acquire(wait=False):
                    continue  # somebody is at work on it
                try:
                    if not lab.is_needed():
                        lab.clear()
                finally:
                    lock.release()
            leave(place)

    def clear(self):
        self.network.down()
        host.stop_kernels(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    def locked(self):
        return host.Lock(self.directory.with_name(f"lock.{self.name}"), f"lab {self.name} is being changed by another process: waiting")

    def write(self, machines):
        text = json.dumps([asdict(each) for each in machines.values()], indent=1)
        temporary = self.directory / "machines.json.new"
        temporary.write_text(text)
        temporary.rename(self.directory / "machines.json")

    # -- using it

    def exec_command(self, command):
        """COMMAND (a list), prefixed so that it runs in the client's place."""
        return [*self.network.inside(), *command]

    def exec(self, command, **options):
        """Run COMMAND (a list) in the client's place; options and result are subprocess.run's (text by default)."""
        return subprocess.run(self.exec_command(command), check=options.pop("check", False), **{"text": True, **options})

    def ssh_command(self, name, command=()):
        """The command that runs COMMAND (a list of words of a shell line; none: a login shell) on a machine as root."""
        machine = self.machine(name)
        return [host.find("ssh"), *self.ssh_options(), f"root@{machine.address}", *command]

    def ssh(self, name, command, **options):
        """Run COMMAND (a shell line, or a list of words) on a machine; options and result are subprocess.run's (text by default)."""
        words = [command] if isinstance(command, str) else [shlex.join(command)]
        return subprocess.run(self.ssh_command(name, words), check=options.pop("check", False), **{"text": True, "stdin": subprocess.DEVNULL, **options})

    def ssh_options(self):
        """For ssh from an ordinary shell of this box. The shared connection lies in the lab's folder and goes with it."""
        proxy = shlex.join([host.PYTHON, "-IS", str(INSIDE), "proxy", str(self.network.client_hold), "%h", "%p"])
        options = {
            "ProxyCommand": proxy, "IdentityFile": key(), "IdentitiesOnly": "yes", "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR", "ControlMaster": "auto", "ControlPersist": "60s", "ControlPath": self.directory / "%h-%p-%r",
            "ServerAliveInterval": "5", "ServerAliveCountMax": "3", "ConnectTimeout": "20",
        }
        return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    @staticmethod
    def control(machine):
        return f"{machine.address}-22-root"

    def inventory(self):
        """An Ansible inventory of the lab's machines as YAML, for ansible-playbook -i from an ordinary shell of this box."""
        machines = self.machines
        if not machines:
            raise host.LabError(f"lab {self.name} is not up")
        return inventory(list(machines.values()), self.ssh_options())


def leave(place):
    """Remove the folder of a checkout that has nothing more in it."""
    with contextlib.suppress(OSError):
        place.rmdir()
