# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command line."""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from . import host, kernels, request
from .image import SUITES
from .image import disk as make_disk
from .image import image as build_image
from .machines import Lab
from .run import run as run_command
from .run import run_native

# As the user has to call it again: as a module in a checkout, as a folder where the collection is installed.
PROGRAM = f"python3 -m {__package__}" if "." in __package__ else f"python3 {sys.argv[0]}"


def parser():
    top = argparse.ArgumentParser(prog=PROGRAM, description="A real IPVS kernel, and whole machines.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    run = verbs.add_parser("run", help="run a command in a real IPVS kernel over this file system")
    run.add_argument("--save", action="append", default=[], metavar="PATH", help="keep what is written below PATH (repeatable)")
    run.add_argument("--mem", default="1G", help="memory of the kernel, %(default)s unless given")
    run.add_argument("--native", action="store_true", help="on this box's own kernel, if it has IPVS (root; writes are kept)")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND...")

    choose_kernel(run)

    image = verbs.add_parser("image", help="build the disk image of machines, or find it in the cache; print its path")
    image.add_argument("--suite", choices=SUITES, default=SUITES[0])

    choose_kernel(image)

    disk = verbs.add_parser("disk", help="make a disk for `up --disk` of a root file system tree (as root)")
    disk.add_argument("root", metavar="ROOTDIR")
    disk.add_argument("out", metavar="OUT.ext4")

    choose_kernel(disk)

    build = verbs.add_parser("kernel", help="build a kernel, or find it in the cache; print its path")
    build.add_argument("kernel", choices=kernels.NAMES, metavar="NAME")

    doctor = verbs.add_parser("doctor", help="say what the lab lacks on this box")
    doctor.add_argument("--install", action="store_true", help="install what is missing, by apt-get")

    verbs.add_parser("create", help="for the playbook lab_create: boot the machines of a request, JSON on standard input")
    destroy = verbs.add_parser("destroy", help="for the playbook lab_destroy: end the lab of a request")
    destroy.add_argument("--after", metavar="PROCESS", help="when this process has ended, and only if the lab came up with it")
    init = verbs.add_parser("init", help="write a Molecule scenario that works into a repository")
    init.add_argument("--folder", default=".", metavar="FOLDER", help="the repository (default: the current folder)")
    init.add_argument("--scenario", default="default", metavar="NAME", help="(default: %(default)s)")

    def lab_verb(name, text):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("--lab", default="lab", metavar="NAME", help="which lab; several may be up at once (default: lab)")
        return verb

    up = lab_verb("up", "boot machines and wait until ssh answers")
    up.add_argument("machines", nargs="+", metavar="N | NAME[:OPTION,...]",
                    help="a number, or names with the options front, gw=NAME, group=NAME, mem=SIZE, disk=FILE, kernel=NAME, bookworm, trixie")
    up.add_argument("--suite", choices=SUITES, default=SUITES[0], help="of machines that name none (default: %(default)s)")
    up.add_argument("--mem", default="256M", help="memory of machines that name none (default: %(default)s)")
    up.add_argument("--disk", action="append", default=[], metavar="NAME=FILE", help="boot machine NAME from this disk (repeatable)")
    up.add_argument("--no-wait", dest="wait", action="store_false", help="don't wait for ssh")
    choose_kernel(up)
    ssh = lab_verb("ssh", "log in on a machine, or run a command there")
    ssh.add_argument("name", metavar="NAME")
    ssh.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    inside = lab_verb("exec", "run a command in the client's place of the lab's network")
    inside.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND...")
    lab_verb("inventory", "print an Ansible inventory of the machines")
    lab_verb("status", "print the machines and whether they run")
    lab_verb("console", "print what a machine's kernel said").add_argument("name", metavar="NAME")
    lab_verb("restart", "power a machine off and on").add_argument("name", metavar="NAME")
    lab_verb("down", "end the lab, whatever state it is in").add_argument("--all", action="store_true", help="every lab of this user")
    return top


def choose_kernel(verb):
    words = "%(default)s: this box's; nft: with nftables; trixie, sid: of that Debian; made when first asked for"
    verb.add_argument("--kernel", choices=kernels.NAMES, default=kernels.DEBIAN, help=words)


def run(arguments):
    if arguments.native:
        return run_native(arguments.command)
    return run_command(arguments.command, arguments.save, arguments.mem, arguments.kernel)


def image(arguments):
    print(build_image(arguments.suite, arguments.kernel))
    return 0


def disk(arguments):
    print(make_disk(arguments.root, arguments.out, arguments.kernel))
    return 0


def kernel(arguments):
    print(kernels.kernel(arguments.kernel).binary)
    return 0


def doctor(arguments):
    packages = host.missing_packages({**host.FOR_RUN, **host.FOR_MACHINES, **({} if os.geteuid() == 0 else host.FOR_IMAGES_OF_A_USER)})
    if packages and arguments.install:
        subprocess.run(host.apt_get("update", "--quiet"), check=True)  # a fresh box has no lists of packages yet
        subprocess.run(host.install_command(packages), check=True)
        packages = []
    if packages:
        raise host.LabError(f"missing: {', '.join(packages)}; install with: {' '.join(host.install_command(packages))}")
    print(f"kernel of the lab: {host.kernel_release()} (user-mode-linux); this box's own has {'' if host.has_ipvs() else 'no '}IPVS")
    print(f"images in {host.cache_dir()}: {', '.join(sorted(path.name for path in host.cache_dir().glob('*.ext4'))) or 'none yet'}")
    print("nothing is missing")
    return 0


def create(arguments):
    for name in request.create(json.load(sys.stdin)):
        print(f"{name} booted")
    return 0


def destroy(arguments):
    if request.destroy(json.load(sys.stdin), arguments.after):
        print("destroyed")
    return 0


def init(arguments):
    for path in request.init(arguments.folder, arguments.scenario):
        print(path)
    return 0


def up(arguments):
    specs = arguments.machines
    if len(specs) == 1 and specs[0].isdigit():
        specs = [f"h{number + 1}" for number in range(int(specs[0]))]
    for pair in arguments.disk:
        name, _equals, path = pair.partition("=")
        if name not in [spec.partition(":")[0] for spec in specs]:
            specs.append(name)
        specs = [f"{spec}{',' if ':' in spec else ':'}disk={path}" if spec.partition(":")[0] == name else spec for spec in specs]
    Lab(arguments.lab).up(specs, arguments.suite, arguments.mem, arguments.wait, arguments.kernel)
    return 0


def ssh(arguments):
    return replace(Lab(arguments.lab).ssh_command(arguments.name, arguments.command))


def exec(arguments):
    return replace(Lab(arguments.lab).exec_command(arguments.command or [os.environ.get("SHELL", "/bin/sh")]))


def replace(command):
    os.execv(command[0], command)


def inventory(arguments):
    print(Lab(arguments.lab).inventory(), end="")
    return 0


def status(arguments):
    lab = Lab(arguments.lab)
    if not lab.machines:
        print(f"lab {lab.name} is not up")
        return 1
    for each in lab.machines.values():
        state = "running" if lab.is_running(each.name) else "off"
        print(f"{each.name:16} {state:8} {' '.join(each.addresses)}")
    return 0


def console(arguments):
    sys.stdout.write(Lab(arguments.lab).console(arguments.name).read_text(errors="replace"))
    return 0


def restart(arguments):
    Lab(arguments.lab).restart(arguments.name)
    return 0


def down(arguments):
    for name in Lab.names() if arguments.all else [arguments.lab]:
        Lab(name).down()
    return 0


def main(argv=None):
    top = parser()
    arguments = top.parse_args(argv)
    if getattr(arguments, "command", None) and arguments.command[0] == "--":
        del arguments.command[0]
    if arguments.verb == "run" and not arguments.command:
        top.error("run: a command is missing")
    try:
        with host.stoppable():
            return globals()[arguments.verb](arguments)
    except host.LabError as error:
        host.say(f"lab: {error}")
        return 125
    except host.Stopped as stopped:
        return 128 + stopped.args[0]
