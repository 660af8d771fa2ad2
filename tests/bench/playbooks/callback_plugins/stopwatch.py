# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes how long each task takes, from the moment that Ansible turns to it until its result is in."""

from __future__ import annotations

import json
import os
import time

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: stopwatch
type: aggregate
short_description: How long each task takes
description:
  - Writes a line of JSON for each task to the file that the environment variable E(STOPWATCH) names.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "stopwatch"

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._start = time.perf_counter()

    def v2_runner_on_ok(self, result):
        seconds = time.perf_counter() - self._start
        line = {"task": result.task.get_name(), "seconds": seconds, "changed": result.is_changed()}
        with open(os.environ["STOPWATCH"], "a", encoding="utf-8") as output:
            output.write(json.dumps(line) + "\n")
