# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection takes from pyroute2, without the rest of it.

To import anything out of pyroute2 runs the package's own ``__init__`` first, which imports every netlink family there is: a
hundred and fifty modules where fifteen are used, and more time than all else that a module of ours does. Here that is put
off until somebody asks for one of the names that it defines.
"""

from __future__ import annotations

import importlib.util
import sys
import traceback

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import MissingLibrary


def load():
    """(GenericNetlinkSocket, genlmsg, NetlinkError) of pyroute2. Raises MissingLibrary."""
    return _load(_import)


def load_iproute():
    """IPRoute of pyroute2. Raises MissingLibrary."""
    return _load(_import_iproute)


def _load(take):
    before = set(sys.modules)
    if "pyroute2" not in sys.modules:
        _put_off("pyroute2")
    try:
        return take()
    except Exception:  # pylint: disable=broad-except
        # pyroute2 0.6 keeps its modules elsewhere, and its __init__ tells where; a later version may have reasons of its own
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "pyroute2":
                del sys.modules[name]
    try:
        return take()
    except ImportError as error:
        raise MissingLibrary("pyroute2", "python3-pyroute2", traceback.format_exc()) from error


def _import():
    from pyroute2.netlink import genlmsg
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.generic import GenericNetlinkSocket

    return GenericNetlinkSocket, genlmsg, NetlinkError


def _import_iproute():
    from pyroute2.iproute import IPRoute

    return IPRoute


def _put_off(name):
    """Make the package ``name`` importable with its submodules; its ``__init__`` runs when a name is missing."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    package = sys.modules[name] = importlib.util.module_from_spec(spec)

    def missing(attribute):
        if importlib.util.find_spec("%s.%s" % (name, attribute)):
            raise AttributeError(attribute)  # a submodule: the import that asks goes on to find it
        del package.__getattr__
        spec.loader.exec_module(package)
        return getattr(package, attribute)

    package.__getattr__ = missing
