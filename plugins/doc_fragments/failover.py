# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The settings of failover."""

    DOCUMENTATION = r"""
options:
  failover:
    description:
      - The settings of VRRP. If omitted, no address moves.
    type: dict
    suboptions:
      interface:
        description:
          - The interface that adverts are sent on.
          - If omitted, the module takes the one that has O(failover.source_address). The filter needs it.
        type: str
      priority:
        description:
          - The priority of this director, from V(1) to V(254). The one with the highest becomes the master.
          - For O(failover.handover_file), let the priorities of the directors differ by less than 100.
        type: int
        required: true
      router_id:
        description:
          - The virtual router ID, from V(1) to V(255), the same on all directors, and no one else's on the network. If omitted, V(51).
          - Change it on all directors in one run, because directors with different IDs all take the addresses.
        type: int
      peers:
        description: The addresses of the other directors. If omitted, adverts are sent by multicast.
        type: list
        elements: str
      source_address:
        description: The address that adverts are sent from. If omitted, the first one of the interface.
        type: str
      advert_interval:
        description: The seconds between adverts, from 0.05 to 40, the same on all directors. If omitted, 1.
        type: float
      preempt:
        description:
          - Whether a director takes over from one of lower priority. V(false) excludes O(failover.handover_file). If omitted,
            V(true).
        type: bool
      preempt_delay:
        description:
          - The seconds that a director waits before it takes over from a master of lower priority, for example after its start or in a
            handover. If omitted, 15, which leaves the connection synchronization time to catch up.
        type: int
      addresses:
        description:
          - The addresses that move, each as a literal or as a dictionary with C(address), C(prefix_length) and C(interface). If
            C(prefix_length) is omitted, it is 32 or 128. If C(interface) is omitted, the module takes the interface that the route to
            the address leads to, as M(lvs.ipvs.ipvs_addresses) does. Without a route, and in the filter, it is O(failover.interface).
          - The first address of the family of the peers is announced in the adverts, so it has to be the same on all directors.
          - If omitted, the addresses of all services.
        type: list
        elements: raw
      gateways:
        description:
          - The addresses, in the same form, that real servers behind NAT have as their gateway. If C(interface) is omitted, it is
            O(failover.back_interface). Without that, it is found as for O(failover.addresses).
        type: list
        elements: raw
      back_interface:
        description:
          - The interface towards the real servers, if it is not O(failover.interface). It has a VRRP instance of its own, and both are
            master together.
        type: str
      back_peers:
        description: The addresses of the other directors on O(failover.back_interface). If omitted, adverts are sent by multicast.
        type: list
        elements: str
      sync:
        description: Connection synchronization, where the master sends and the others receive. If omitted, there is none.
        type: dict
        suboptions:
          interface:
            description: The interface for the multicast. If omitted, O(failover.interface).
            type: str
          sync_id:
            description: The sync ID, from V(0) to V(255). If omitted, O(failover.router_id).
            type: int
      handover_file:
        description:
          - The path of a file by which a director is handed over. With V(1) in it, the director has 100 less priority, and with V(0)
            its own. keepalived makes the file at its start. The folder must exist.
        type: str
"""
