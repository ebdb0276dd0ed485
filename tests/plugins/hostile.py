"""Methods that try to take the run down with them, or leave the process changed."""

import os
import signal
import sys
import warnings

import torch
from torch import nn
from torch.nn import functional

from robench.methods.base import Method
from robench.methods.masks import magnitude_masks


class _Hostile(Method):
    """Does it before the first step."""

    def prepare(self, state):
        self.strike()


class SystemExits(_Hostile):
    name = "system-exits"

    def strike(self):
        sys.exit(3)


class Interrupts(_Hostile):
    name = "interrupts"

    def strike(self):
        raise KeyboardInterrupt


class ExitsGenerators(_Hostile):
    name = "exits-generators"

    def strike(self):
        raise GeneratorExit


class OfItsOwn(BaseException):
    """No `Exception`."""


class RaisesItsOwn(_Hostile):
    name = "raises-its-own"

    def strike(self):
        raise OfItsOwn("mine")


class Recurses(_Hostile):
    name = "recurses"

    def strike(self):
        self.strike()


class HasNoMemory(_Hostile):
    name = "has-no-memory"

    def strike(self):
        raise MemoryError


class UnspeakableError(Exception):
    """Cannot be shown, nor sent anywhere."""

    def __str__(self):
        raise RuntimeError("you will never know")

    def __reduce__(self):
        raise TypeError("no")


class RaisesUnspeakable(_Hostile):
    name = "raises-unspeakable"

    def strike(self):
        raise UnspeakableError


class RaisesSurrogate(_Hostile):
    name = "raises-surrogate"

    def strike(self):
        raise ValueError("half a letter: \ud800, and too much: " + "x" * 10**6)


class NotesNonsense(_Hostile):
    name = "notes-nonsense"

    def prepare(self, state):
        state.notes["what"] = object()
        state.masks = magnitude_masks(state.prunable, state.level)


def _patched(*arguments, **others):
    return arguments[0] * 0


class ChangesAll(_Hostile):
    """Leaves changed whatever it can think of, and then fails."""

    name = "changes-all"

    def strike(self):
        functional.relu = _patched
        nn.ReLU.forward = lambda self, x: x * 0
        nn.Linear.__call__ = _patched
        torch.Tensor.argmax = _patched
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(True)
        torch.set_flush_denormal(True)
        torch.set_autocast_enabled("cpu", True)
        nn.modules.module.register_module_forward_hook(lambda *_: None)
        os.environ["OF_A_PLUGIN"] = "1"
        os.chdir("/")
        warnings.simplefilter("always")
        sys.path.insert(0, "/nowhere")
        sys.setrecursionlimit(321)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise RuntimeError("and now this")
