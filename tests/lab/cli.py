# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's command line: ``python3 -m tests.lab --help``."""
from __future__ import annotations

import argparse

from . import host


def parser():
    top = argparse.ArgumentParser(prog="python3 -m tests.lab", description="A real IPVS kernel, and whole machines.")
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB")

    run = verbs.add_parser("run", help="run a command in a real IPVS kernel over this file system")
    run.add_argument("--save", action="append", default=[], metavar="PATH", help="keep what is written below PATH (repeatable)")
    run.add_argument("--mem", default="1G", help="memory of the kernel, %(default)s unless given")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    return top


def run(arguments):
    from .run import run
    return run(arguments.command, arguments.save, arguments.mem)


def main(argv=None):
    top = parser()
    arguments = top.parse_args(argv)
    if getattr(arguments, "command", None) and arguments.command[0] == "--":
        del arguments.command[0]
    if arguments.verb == "run" and not arguments.command:
        top.error("run: a command is missing")
    try:
        return globals()[arguments.verb](arguments)
    except host.LabError as error:
        host.say(f"lab: {error}")
        return 125
