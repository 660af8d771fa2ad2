# SPDX-License-Identifier: GPL-3.0-or-later
"""A node whose network is the test's own and remembers what it was told, and a host that keeps it so now and at boot."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _boot, _managers, _network_lines
from ansible_collections.lvs.ipvs.plugins.module_utils._node._network_node import Address

from .boot_node import Machine

MAC = bytes.fromhex("020000000011")
TABLE = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  CB007150:0050 rr
  -> C6336464:0050      Route   1      0          0
UDP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0035 wrr
"""
OWNER = _boot.Owner("ipvs-x", "ipvs_x", "Of the tests", "Order.", " x.service")
VIP, OTHER = "address 203.0.113.80/32 dev eth0", "address 203.0.113.81/32 dev eth0"


class Node:
    """Remembers what it was told. ``broken``: {part of a line: why it fails}; ``there``: identities of lines."""

    def __init__(self, table=TABLE, broken=(), there=(), used=()):
        self.text, self.broken, self.found, self.used = table, dict(broken), set(there), used
        self.done, self.sent, self.pauses = [], [], 0

    def reason(self, text):
        return next((reason for part, reason in self.broken.items() if part in text), None)

    def there(self, _lines):
        return self.found

    def run(self, command):
        self.done.append(" ".join(command))
        return self.reason(" ".join(command))

    def set(self, key, value):
        self.done.append(f"{key} = {value}")
        return self.reason(key)

    def change(self, group, is_up):
        assert len({line.kind for line in group}) <= 1
        self.done += [("" if is_up else "- ") + _network_lines.identity(line) for line in group if not self.reason(line.text)]
        return [_network_lines.Failure(line, self.reason(line.text)) for line in group if self.reason(line.text)]

    def in_use(self, interface):
        return interface in self.used

    def table(self):
        return self.text

    def mac(self, interface):
        return None if interface == "lo" else MAC

    def forwards(self, interface):
        return interface == "eth1"

    def send(self, interface, each):
        self.sent.append((interface, each))
        return self.reason(f"send {interface}")

    def pause(self):
        self.pauses += 1


class Network(Node):
    """What is put up is there afterwards. ``deaf``: parts of lines that seem to be put up and are not."""

    def __init__(self):
        super().__init__()
        self.deaf, self.closed = (), 0
        self.settings = {}
        self.local = [Address("127.0.0.1", 8, "lo", 254), Address("198.51.100.12", 24, "eth0", 0)]

    def change(self, group, is_up):
        failures = super().change(group, is_up)
        failed = {failure.line for failure in failures}
        for line in group:
            if line not in failed and not any(part in line.text for part in self.deaf):
                (self.found.add if is_up else self.found.discard)(_network_lines.identity(line))
        return failures

    def set(self, key, value):
        reason = super().set(key, value)
        if not reason:
            self.settings[key] = value
        return reason

    def there(self, asked):
        return self.found | {_network_lines.identity(each) for each in asked if each.kind == "sysctl" and self.settings.get(each.words[0]) == each.words[1]}

    def addresses(self):
        return self.local

    def interfaces(self):
        return ["lo", "eth0", "eth1"]

    def routes_to(self, literals):
        return dict.fromkeys(literals, "eth0")

    def close(self):
        self.closed += 1


class Host(Machine):
    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self.network = Network()
        monkeypatch.setattr(_boot, "new_node", lambda: self.network)
        monkeypatch.setattr(_managers, "read", lambda context: _managers.Found(None, False))
        monkeypatch.setattr(_managers.glob, "glob", lambda pattern: [])

    def plan(self, *lines, check=True, **words):
        text = _boot.render(OWNER, lines) if lines else ""
        return _boot.plan(OWNER, text, self.network, self.context(check), **words)

    def have(self, *lines, **words):
        """Have the lines at work; what was not as it should be."""
        todo = self.plan(*lines, **words)
        self.network.done.clear()
        _boot.apply(todo, self.network, self.context())
        return todo.differences

    def again(self, *lines, **words):
        todo = self.plan(*lines, **words)
        assert (todo.differences, todo.changes, todo.leaving, todo.coming) == ([], [], [], [])
        assert todo.before == todo.after
