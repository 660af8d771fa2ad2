# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The only file that knows AnsibleModule: options in; changed, diff, return values or a failure out."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from functools import partial

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, MissingLibrary, OptionError

_LONG = 100


def run(module, action):
    """Call ``action(options, context)``, which returns an Answer, and end the module with it.

    ``module``: the AnsibleModule. The same path for a check and for the real thing: ``action`` looks at
    ``context.check_mode`` in the one place where it would change something. Never returns.
    """
    context = Context(module.check_mode, module._diff, module.warn, module.run_command, partial(write_files, module))
    try:
        _refuse_null(module.params)
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


def _refuse_null(value, option=""):
    """Raise OptionError for a null character anywhere in the options: neither a path, nor a name, nor any text of ours can have one."""
    if isinstance(value, dict):
        for key, each in value.items():
            _refuse_null(str(key), option)
            _refuse_null(each, "%s.%s" % (option, key) if option else key)
    elif isinstance(value, list):
        for number, each in enumerate(value):
            _refuse_null(each, "%s[%d]" % (option, number))
    elif isinstance(value, str) and "\0" in value:
        raise OptionError(option, value, "remove the null character")


def _brief(options):
    """The options as the result repeats them for ``-vvv``. Of a long list the number is enough: Ansible would carry all of it to the
    controller, through every callback, and the result holds the same objects as they now are."""
    brief = dict(options)
    for name, value in options.items():
        if isinstance(value, list) and len(value) > _LONG:
            brief[name] = "%d elements" % len(value)
    return brief


def write_files(module, files):
    """Put texts into files, each in one step: a reader sees the old file or the new one, never half of it.

    ``files``: [NewFile]. All texts are on the disk before the first file is replaced, so that a full disk leaves all as it was. A text is
    never readable by others than the file will be. A file keeps what its NewFile does not say, its extended attributes and its SELinux
    context. A symbolic link stays, and the file that it leads to is replaced. Raises IpvsError that names the file.
    """
    scratches = []
    try:
        for file in files:
            with _named(file.path):
                path = _files.target(file.path)
                handle, scratch = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".ansible_tmp")
                scratches.append((file.path, scratch, path))
                with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
                    _prepare(module, file, scratch, path)
                    stream.write(file.text)
                    stream.flush()
                    os.fsync(stream.fileno())
        while scratches:
            name, scratch, path = scratches[0]
            with _named(name):
                os.replace(scratch, path)
            del scratches[0]
    finally:
        for _name, scratch, _path in scratches:
            with contextlib.suppress(OSError):
                os.unlink(scratch)


@contextlib.contextmanager
def _named(path):
    """An OSError as an IpvsError that names this file."""
    try:
        yield
    except OSError as error:
        raise IpvsError("%s: %s" % (path, error.strerror)) from error


def _prepare(module, file, scratch, path):
    """Give the file ``scratch``, which only we can read yet, what the file ``path`` shall have besides its text."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        found = None
    mode, owner = file.mode, file.owner
    if found:
        with contextlib.suppress(PermissionError):  # of what is not ours to give, as for a user who is not root
            shutil.copystat(path, scratch)
            os.utime(scratch)
            os.chown(scratch, found.st_uid, found.st_gid)
        mode = stat.S_IMODE(found.st_mode) if mode is None else mode
    if owner:
        os.chown(scratch, *map(int, owner.split(":")))
    os.chmod(scratch, 0o644 if mode is None else mode)
    module.set_context_if_different(scratch, module.selinux_context(path) if found else module.selinux_default_context(path), False)
