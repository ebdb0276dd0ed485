"""The interface to compiled kernels: what turns them off, and that nothing else needs them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import robench
from robench.deploy import backends
from robench.deploy.backends import SWITCH, has_kernel, is_enabled, kernel_for, why_off

PACKAGE = Path(robench.__file__).parent
compiled = pytest.mark.skipif(why_off() is not None, reason="this machine compiles no kernels")

WITHOUT_THE_FOLDER = """
import sys, torch
from torch import nn
from robench.compaction import compact
from robench.deploy import backends, inference_form
from robench.deploy.forms.direct import DirectConv2d
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.measure import measure_speed

assert backends.why_off() == "this copy of robench comes without them", backends.why_off()
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3), nn.ReLU(),
    nn.Flatten(), nn.Linear(54, 4),
).eval()
with torch.no_grad():
    model[0].weight[:4], model[0].bias[:4] = 0, 0
    model[3].weight[:, :, 0] = 0
images = torch.rand(4, 3, 10, 10)
form = inference_form(compact(model, images), images)
with torch.no_grad():
    torch.testing.assert_close(form(images), model(images), atol=1e-5, rtol=1e-5)
    maps = torch.rand(2, 8, 5, 5)
    for kind in (DirectConv2d, ScatteredConv2d):
        torch.testing.assert_close(kind(model[3], (8, 5, 5))(maps), model[3](maps))
report = measure_speed(model, form, images, batch_sizes=(1,), repeats=30)
assert report.batches[0].speed_up.value > 0
assert "llvmlite" not in sys.modules
assert "robench.deploy.kernels.calls" not in sys.modules
print(backends.__file__)
"""


def test_the_folder_can_be_deleted_without_another_file_changing(tmp_path: Path) -> None:
    copied = shutil.copytree(
        PACKAGE, tmp_path / "robench", ignore=shutil.ignore_patterns("kernels", "__pycache__")
    )
    assert not (copied / "deploy" / "kernels").exists()
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_FOLDER],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(copied / "deploy" / "backends.py")


def test_nothing_else_reaches_into_the_folder() -> None:
    folder = PACKAGE / "deploy" / "kernels"
    others = [path for path in PACKAGE.rglob("*.py") if folder not in path.parents]
    naming = {path.name for path in others if "deploy.kernels" in path.read_text("utf-8")}
    assert naming == {"backends.py"}


def test_the_folder_uses_no_private_names_of_torch() -> None:
    for path in (PACKAGE / "deploy" / "kernels").glob("*.py"):
        text = path.read_text("utf-8")
        assert not re.search(
            r"torch\._|\._(parameters|modules|buffers|forward_|is_zerotensor)", text
        ), path


def test_a_variable_turns_kernels_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    conv, maps = nn.Conv2d(3, 4, 3), torch.rand(1, 3, 6, 6)
    assert why_off() == "turned off by ROBENCH_KERNELS=off"
    assert not is_enabled()
    assert not has_kernel(conv, maps)
    assert kernel_for(conv, maps) is None


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "llvmlite is not installed" in str(why_off())
    assert is_enabled()
    monkeypatch.setattr(backends, "_kernels", lambda: None)
    assert why_off() == "this copy of robench comes without them"
    assert not is_enabled()


@compiled
@pytest.mark.parametrize("pooled", [False, True])
def test_a_kernel_computes_the_layer_and_what_is_fused(pooled: bool) -> None:
    torch.manual_seed(0)
    conv, images = nn.Conv2d(3, 4, 3, padding=1).eval(), torch.rand(2, 3, 8, 6)
    kernel = kernel_for(conv, images, rectified=True, pooled=pooled)
    assert kernel is not None
    with torch.no_grad():
        expected = conv(images).relu()
        expected = nn.functional.max_pool2d(expected, 2) if pooled else expected
        torch.testing.assert_close(kernel(images), expected, atol=1e-5, rtol=1e-5)
        assert kernel(images.double()) is None
    assert kernel(images) is None  # the weights need a gradient
    assert kernel_for(nn.Linear(3, 4), images) is None
