"""Methods that misbehave, each in its own way: what an engine must survive."""

import os
import signal
import time

import torch

from robench import Method


class Dies(Method):
    """Kills its process."""

    name = "dies"

    def prepare(self, state):
        os.kill(os.getpid(), signal.SIGKILL)


class Raises(Method):
    """Raises in a hook."""

    name = "raises"

    def after_step(self, state):
        raise RuntimeError("a mistake of mine")


class Diverges(Method):
    """Makes the loss not a number."""

    name = "diverges"

    def penalty(self, state):
        return next(iter(state.prunable.values())).sum() * torch.nan


class Sleeps(Method):
    """Takes longer than anybody waits."""

    name = "sleeps"

    def prepare(self, state):
        time.sleep(600)


class Stubborn(Method):
    """Does not end when it is told to."""

    name = "stubborn"

    def prepare(self, state):
        end = time.monotonic() + 600
        while time.monotonic() < end:
            try:
                time.sleep(600)
            except BaseException:  # noqa: BLE001
                continue


class Declines(Method):
    """Has nothing to do on any network."""

    name = "declines"

    def supports(self, model, data):
        return "it never wants to"


class Misses(Method):
    """Does not reach its level."""

    name = "misses"

    def finish(self, state):
        pass
