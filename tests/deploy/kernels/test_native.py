"""Machine code for this processor: shared out to threads, and told when there is none."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch
from torch import nn

from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.kernels import native
from robench.deploy.kernels.layout import Machine, Shape
from robench.deploy.kernels.native import kernel_for, this_machine

compiled = pytest.mark.skipif(this_machine() is None, reason="this machine compiles no kernels")


@pytest.fixture
def anew():
    this_machine.cache_clear()
    yield
    this_machine.cache_clear()


@pytest.mark.usefixtures("anew")
@pytest.mark.parametrize(
    ("features", "machine"),
    [
        ({"avx512f", "avx512vl", "avx2", "fma"}, Machine(16, 32)),
        ({"avx2", "fma"}, Machine(8, 16)),
        ({"avx2"}, None),
        (set(), None),
    ],
)
def test_vectors_are_as_wide_as_the_processor_has_them(monkeypatch, features, machine) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(native, "_features", lambda: dict.fromkeys(features, True))
    assert this_machine() == machine


@pytest.mark.usefixtures("anew")
def test_other_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("llvmlite")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert this_machine() == Machine(4, 32)


@pytest.mark.usefixtures("anew")
def test_without_a_compiler_there_are_no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native.importlib.util, "find_spec", lambda _: None)
    assert this_machine() is None


@compiled
def test_a_shape_is_compiled_once() -> None:
    shape = Shape(1, 2, 9, (9, 9), (3, 3), all_channels=1, all_filters=2)
    machine = this_machine()
    assert machine is not None
    assert kernel_for(shape, machine) is kernel_for(shape, machine)


@compiled
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("padding", [0, 1])
def test_threads_share_the_work(monkeypatch: pytest.MonkeyPatch, count: int, padding: int) -> None:
    """Images where there are enough of them, else blocks of filters."""
    monkeypatch.setattr(native, "_WORTH_A_THREAD", 1)
    parts: list[tuple[int, int, int, int]] = []
    original = native.Kernel._part

    def noted(self, places, part) -> None:
        parts.append(part)
        original(self, places, part)

    monkeypatch.setattr(native.Kernel, "_part", noted)
    conv = nn.Conv2d(3, 50, 3, padding=padding).eval()
    maps = torch.rand(count, 3, 13, 11)
    form = DirectConv2d(conv, (3, 13, 11)).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with torch.no_grad():
            found = form(maps)
    finally:
        torch.set_num_threads(threads)
    assert len(parts) == 3
    assert sum((images[1] - images[0]) * (images[3] - images[2]) for images in parts) == (
        count * form.kernel.layouts[0].blocks[2]
    )
    torch.testing.assert_close(found, conv(maps), atol=1e-5, rtol=1e-5)


@compiled
def test_little_work_stays_in_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_pool", None)  # which would not do
    form = DirectConv2d(nn.Conv2d(3, 5, 3), (3, 13, 11)).eval()
    with torch.no_grad():
        form(torch.rand(2, 3, 13, 11))


def test_the_compiler_is_imported_when_it_is_needed() -> None:
    code = "import sys, robench.deploy.forms.direct; print('llvmlite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
