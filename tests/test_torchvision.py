from __future__ import annotations

import subprocess
import sys

import pytest

from robench import _torchvision

# A fresh process, because here some other test may have imported torchvision already.
PROGRAM = """
from robench._torchvision import import_torchvision

package = import_torchvision()
assert import_torchvision() is package
assert package.datasets.MNIST and package.transforms.Resize(4)

import torch
print(torch.ops.torchvision.nms.default._schema)
"""


def test_torchvision_imports_and_works_beside_this_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor" in done.stdout


def test_another_failure_of_torchvision_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise RuntimeError("operator other::thing does not exist")

    monkeypatch.setattr(_torchvision.importlib, "import_module", broken)
    with pytest.raises(RuntimeError, match="other::thing"):
        _torchvision.import_torchvision()
