# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of one lab: two networks, the client's place on both, and a plug for each interface of a machine.

                     client namespace (the client, and where Ansible comes from)
                front  203.0.113.1, 2001:db8:0:f::1     back  198.51.100.1, 2001:db8::1
                    |  (bridge "front")                     |  (bridge "back")
          machines that are on the front too            every machine

Each interface of a machine is a veth pair: one end on a bridge in the client namespace, the other in a second namespace,
the sockets, where nothing has an address and only the machine's kernel listens, by a raw socket.
A namespace lives as long as a process in it: here a `tail -f` of a file in the lab's directory.
"""
from __future__ import annotations

import os
import signal
import struct
import subprocess
import time
from pathlib import Path

from . import host
from .inside import holder

BACK, FRONT = "back", "front"
PREFIX = {BACK: ("198.51.100.", "2001:db8::"), FRONT: ("203.0.113.", "2001:db8:0:f::")}
CLIENT_SYSCTLS = ["net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0"]


def addresses(net, number):
    """The IPv4 and the IPv6 address of host NUMBER on a network; both end in the same digits."""
    return tuple(f"{prefix}{number}" for prefix in PREFIX[net])


def mac(net, number):
    """The Ethernet address of host NUMBER on a network."""
    return f"02:00:00:00:{list(PREFIX).index(net):02x}:{number:02d}"


def filter_of(own):
    """The filter of a machine's socket, as struct sock_filter: without it, the machine gets each frame that it sends."""
    octets = bytes.fromhex(own.replace(":", ""))
    high, low = struct.unpack("!IH", octets)
    program = [
        (0x20, 0, 0, 6),  # BPF_LD | BPF_W | BPF_ABS: the first four octets of the source
        (0x15, 0, 3, high),  # BPF_JMP | BPF_JEQ | BPF_K
        (0x28, 0, 0, 10),  # BPF_LD | BPF_H | BPF_ABS: the other two
        (0x15, 0, 1, low),
        (0x06, 0, 0, 0),  # BPF_RET: nothing of it
        (0x06, 0, 0, 0xFFFFFFFF),
    ]
    return b"".join(struct.pack("=HBBI", *each) for each in program)


class Network:
    def __init__(self, directory):
        self.client_hold = Path(directory) / "client"
        self.socket_hold = Path(directory) / "sockets"

    def up(self):
        """Make the namespaces and bridges; nothing of them may be there."""
        user = [] if os.geteuid() == 0 else ["-Ur"]
        client = self.hold(self.client_hold, [host.find("unshare"), *user, "-n"])
        self.hold(self.socket_hold, [*self.entering(client), host.find("unshare"), "-n"])
        self.ip("link set lo up")
        for net in PREFIX:
            ipv4, ipv6 = addresses(net, 1)
            # Without an address of its own a bridge takes that of a plug, and another one when this machine is restarted.
            self.ip(f"link add {net} address {mac(net, 1)} type bridge stp_state 0 forward_delay 0 mcast_snooping 0")
            self.ip(f"address add {ipv4}/24 dev {net}")
            self.ip(f"address add {ipv6}/64 dev {net} nodad")
            self.ip(f"link set {net} up")
        self.check("sysctl", "-qw", *CLIENT_SYSCTLS)
        self.check("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", hold=self.socket_hold)

    def hold(self, path, command):
        path.touch()
        host.detach([*command, "tail", "-f", str(path)], f"{path}.log")
        for _try in range(100):
            if pid := holder(path):
                return pid
            time.sleep(0.02)
        raise host.LabError(f"no network namespace for the lab: {Path(f'{path}.log').read_text().strip()}; run as root")

    def is_up(self):
        return bool(holder(self.client_hold) and holder(self.socket_hold))

    def plug(self, name, net, number):
        """The plug of one interface; returns the name of its end among the sockets."""
        socket = f"{net}{number}"
        self.unplug(net, number)
        self.ip(f"link add port-{socket} type veth peer name {socket} netns {holder(self.socket_hold)}")
        self.ip(f"link set port-{socket} master {net} alias {name} up")
        self.ip(f"link set {socket} arp off up", hold=self.socket_hold)
        return socket

    def unplug(self, net, number):
        subprocess.run([*self.inside(), host.find("ip"), "link", "delete", f"port-{net}{number}"], stderr=subprocess.DEVNULL, check=False)

    def entering(self, pid):
        """The command prefix that runs what follows in the namespaces of PID."""
        user = [] if os.geteuid() == 0 else ["-U", "--preserve-credentials"]
        return [host.find("nsenter"), "-t", str(pid), *user, "-n"]

    def inside(self, hold=None):
        """The command prefix that runs what follows in the client's place."""
        pid = holder(hold or self.client_hold)
        if pid is None:
            raise host.LabError("the lab is not up")
        return self.entering(pid)

    def ip(self, words, hold=None):
        self.check("ip", *words.split(), hold=hold)

    def check(self, command, *arguments, hold=None):
        done = subprocess.run([*self.inside(hold), host.find(command), *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise host.LabError(f"{command} {' '.join(arguments)}: {done.stderr.strip()}")

    def down(self):
        """End every process in the namespaces, wherever it came from; the namespaces go with the last of them."""
        held = {namespace(pid) for pid in (holder(self.client_hold), holder(self.socket_hold)) if pid}
        held.discard(None)
        if namespace("self") in held:
            raise host.LabError("this is inside the lab that is to go: call from outside")
        while inmates := [entry.name for entry in Path("/proc").glob("[0-9]*") if namespace(entry.name) in held]:
            for pid in inmates:
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)


def namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return None
