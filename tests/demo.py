# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo``: a real load balancer in one command.

Boots a director and two real servers, runs playbooks/demo.yml on them, and shows what a user would want to see: requests that
alternate, the table, a second run that changes nothing, a server drained and back. Every step is checked; where one isn't as
it should be, the demo ends with an error. At the end everything is gone, unless --keep is given.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from extensions.lab import Lab, LabError

MACHINES = ["director:front,group=directors", "rs1:gw=director,group=real_servers", "rs2:gw=director,group=real_servers"]
VIP = "203.0.113.80"
REQUESTS = 6
CLIENT = """
import sys, urllib.request
for _number in range(int(sys.argv[2])):
    with urllib.request.urlopen(sys.argv[1], timeout=10) as answer:
        print(answer.read().decode().strip())
"""
START = time.monotonic()


class DemoError(Exception):
    """Something is not as it should be."""


def step(text):
    print(f"\n[{time.monotonic() - START:5.1f} s] {text}", flush=True)


def expect(condition, text):
    if not condition:
        raise DemoError(text)


class Demo:
    def __init__(self, lab, inventory):
        self.lab = lab
        self.inventory = inventory
        self.environment = dict(
            os.environ,
            ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache" / "collections"),
            ANSIBLE_REMOTE_TMP="/var/tmp/.ansible",
            ANSIBLE_FORCE_COLOR="1" if sys.stdout.isatty() else "0",
        )

    def ansible(self, program, *words, show=True):
        """Run ``ansible`` or ``ansible-playbook`` on the machines; its output is shown as it comes, and returned."""
        command = [str(Path(sys.executable).parent / program), "-i", str(self.inventory), *words]
        lines = []
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                lines.append(line)
                if show and line.strip():
                    print("    " + line, end="", flush=True)
        expect(process.returncode == 0, f"{program} failed:\n{''.join(lines)}")
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(lines))

    def playbook(self):
        """Run the demo's playbook; returns how many tasks changed something."""
        output = self.ansible("ansible-playbook", str(ROOT / "playbooks" / "demo.yml"))
        return sum(int(number) for number in re.findall(r"changed=(\d+)", output))

    def server(self, state):
        """Set the first real server's state with a command that a user could type."""
        arguments = f"service_address={VIP} service_port=80 address={self.lab.machine('rs1').address} {state}"
        print(f"    ansible directors -m lvs.ipvs.ipvs_server -a '{arguments}'")
        self.ansible("ansible", "directors", "-m", "lvs.ipvs.ipvs_server", "-a", arguments, show=False)

    def requests(self):
        """Ask the virtual address several times from the client's place; returns who answered, in order."""
        done = self.lab.exec([sys.executable, "-c", CLIENT, f"http://{VIP}/", str(REQUESTS)], capture_output=True)
        expect(done.returncode == 0, f"a request to http://{VIP}/ failed: {done.stderr.strip()}")
        names = done.stdout.split()
        print(f"    GET http://{VIP}/  ->  " + "  ".join(names))
        return names

    def table(self):
        text = self.lab.ssh("director", "ipvsadm -Ln", capture_output=True, check=True).stdout
        print("".join(f"    {line}\n" for line in text.splitlines()), end="")
        return text

    def run(self):
        step("The playbook: packages, kernel modules, the service with its two real servers")
        expect(self.playbook() > 0, "the playbook changed nothing on new machines")

        step(f"{REQUESTS} requests through the virtual address {VIP}")
        names = self.requests()
        expect(Counter(names) == {"rs1": REQUESTS // 2, "rs2": REQUESTS // 2}, f"the requests do not alternate: {names}")
        expect(all(one != other for one, other in zip(names, names[1:], strict=False)), f"the requests do not alternate: {names}")

        step("The table on the director: ipvsadm -Ln")
        expect(self.table().count("Masq") == 2, "the table does not have the two real servers")

        step("The same playbook again")
        changed = self.playbook()
        expect(changed == 0, f"the second run changed {changed} things")
        print("    Nothing changed.")

        step("Drain rs1: no new connections, wait for those it has")
        self.server("state=drained drain_timeout=60")
        names = self.requests()
        expect(set(names) == {"rs2"}, f"a drained server still answers: {names}")

        step("Bring rs1 back")
        self.server("weight=1")
        expect(set(self.requests()) == {"rs1", "rs2"}, "rs1 is not back")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--keep", action="store_true", help="leave the machines up")
    parser.add_argument("--lab", default="demo", help="name of the lab (default: demo)")
    options = parser.parse_args()
    lab = Lab(options.lab, say=lambda text: print(f"    {text}", flush=True))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            step("Boot three machines: a director and two real servers")
            lab.down()
            lab.up(MACHINES)
            inventory = Path(scratch) / "inventory.yml"
            inventory.write_text(lab.inventory())
            Demo(lab, inventory).run()
        if options.keep:
            step("All is as it should be. The machines stay up:")
            print(f"    log in:        python3 -m extensions.lab ssh --lab {lab.name} director")
            print(f"    be a client:   python3 -m extensions.lab exec --lab {lab.name} curl http://{VIP}/")
            print(f"    inventory:     python3 -m extensions.lab inventory --lab {lab.name} > inventory.yml")
            print(f"    take it down:  python3 -m extensions.lab down --lab {lab.name}")
    except (DemoError, LabError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        if not options.keep:
            lab.down()
    if not options.keep:
        step("All is as it should be, and everything is gone again (make demo KEEP=1 leaves it up).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
