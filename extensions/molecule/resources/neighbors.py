# SPDX-License-Identifier: GPL-3.0-or-later
"""neighbors.py mislead|check EXPECTATIONS: what this place knows of the machines that have the virtual addresses.

EXPECTATIONS as for probe.py. "mislead" notes a machine that does not exist for each address, as if the address had been there before
it moved. "check" fails where an address is still thought to be there: nobody has announced that it has moved.
"""
import json
import subprocess
import sys
from pathlib import Path

NOBODY = "02:00:00:00:00:99"


def ip(*words):
    return json.loads(subprocess.run(["ip", "-json", *words], check=True, capture_output=True, text=True).stdout or "[]")


def main():
    command, expectations = sys.argv[1:]
    addresses = sorted({each["address"] for each in json.loads(expectations)})
    if command == "mislead":
        for address in addresses:
            interface = ip("route", "get", address)[0]["dev"]
            family = "ipv6" if ":" in address else "ipv4"
            Path(f"/proc/sys/net/{family}/neigh/{interface}/gc_stale_time").write_text("86400")
            ip("neighbor", "replace", address, "lladdr", NOBODY, "dev", interface, "nud", "stale")
        return 0
    known = {each["dst"]: each.get("lladdr") for each in ip("neighbor", "show")}
    for address in addresses:
        print(address, known.get(address))
    return int(any(known.get(address, NOBODY) in (NOBODY, None) for address in addresses))


if __name__ == "__main__":
    sys.exit(main())
