# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only file that knows AnsibleModule: options in; changed, diff, return values or a failure out."""

from __future__ import annotations

import os
import tempfile
from functools import partial

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, MissingLibrary

_LONG = 100


def run(module, action):
    """Call ``action(options, context)``, which returns an Answer, and end the module with it.

    ``module``: the AnsibleModule. The same path for a check and for the real thing: ``action`` looks at
    ``context.check_mode`` in the one place where it would change something. Never returns.
    """
    context = Context(module.check_mode, module._diff, module.warn, module.run_command, partial(write_file, module))
    try:
        answer = action(module.params, context)
    except MissingLibrary as error:
        text = missing_required_lib("%s (Debian, Ubuntu, Fedora: %s)" % (error.library, error.package))
        if module.check_mode:
            # An earlier task may be about to install it, as on a fresh node.
            module.warn("%s Without it, the changes cannot be determined." % text)
            module.exit_json(changed=False, skipped=True, differences=["%s is not installed" % error.library], commands=[])
        module.fail_json(msg=text, exception=error.trace)
    except IpvsError as error:
        module.fail_json(msg=str(error), **error.details)
    result = dict(answer.values, changed=answer.changed)
    if context.diff and answer.before is not None:
        result["diff"] = {"before": answer.before, "after": answer.after}
    module.exit_json(invocation={"module_args": _brief(module.params)}, **result)


def _brief(options):
    """The options as the result repeats them for ``-vvv``. Of a long list the number is enough: Ansible would carry all of it to the
    controller, through every callback, and the result holds the same objects as they now are."""
    brief = dict(options)
    for name, value in options.items():
        if isinstance(value, list) and len(value) > _LONG:
            brief[name] = "%d elements" % len(value)
    return brief


def write_file(module, path, text):
    """Put ``text`` into the file ``path`` in one step: a reader sees the old file or the new one, never half of it.

    A file that is there keeps its mode, owner and SELinux context; a new one is readable by all, whatever the umask. A symbolic link
    stays, and the file that it leads to is written; raises IpvsError where that is no regular file.
    """
    path = _files.target(path)
    new = not os.path.exists(path)
    handle, scratch = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
        stream.write(text)
    module.atomic_move(scratch, path)
    if new:
        module.set_mode_if_different(path, 0o644, changed=False)
