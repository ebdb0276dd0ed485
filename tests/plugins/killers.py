"""Methods that end their own process."""

import ctypes
import os
import signal

from robench.methods.base import Method


class LeavesAtOnce(Method):
    name = "leaves-at-once"

    def prepare(self, state):
        os._exit(7)


class Segfaults(Method):
    name = "segfaults"

    def prepare(self, state):
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        ctypes.string_at(0)
