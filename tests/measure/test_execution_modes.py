"""Ways to call a network: what each gives, and what it says where it cannot."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from robench.errors import NotApplicableError
from robench.measure import execution_modes
from robench.measure.execution_modes import calls_of
from tests.networks import linear_layers


def test_eager_calls_are_the_networks() -> None:
    one, batch = linear_layers(4, 8, 2), torch.rand(3, 4)
    with torch.inference_mode():
        calls = calls_of("eager", {"a": one, "b": linear_layers(4, 8, 2)}, batch)
        assert list(calls) == ["a", "b"]
        assert torch.equal(calls["a"](), one(batch))


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution_modes.shutil, "which", lambda _: None)
    with pytest.raises(NotApplicableError, match=r"needs a C\+\+ compiler"):
        calls_of("compiled", {"a": linear_layers(4, 8, 2)}, torch.rand(3, 4))


def test_a_compiler_that_is_named_but_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(NotApplicableError, match="no-such-compiler"):
        calls_of("compiled", {"a": linear_layers(4, 8, 2)}, torch.rand(3, 4))


def test_what_the_compiler_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ArithmeticError("no such thing\nand much more")

    monkeypatch.setattr(execution_modes.shutil, "which", lambda name: name)
    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(NotApplicableError, match=r"fails: ArithmeticError: no such thing$"):
        calls_of("compiled", {"a": linear_layers(4, 8, 2)}, torch.rand(3, 4))


def test_a_compiled_network_of_another_function_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shifted(model: nn.Module, **_: object) -> nn.Module:
        other = copy.deepcopy(model)
        with torch.no_grad():
            other[-1].bias += 0.5
        return other

    monkeypatch.setattr(execution_modes.shutil, "which", lambda name: name)
    monkeypatch.setattr(torch, "compile", shifted)
    with pytest.raises(NotApplicableError, match=r"moves a logit by 0\.5"):
        calls_of("compiled", {"a": linear_layers(4, 8, 2)}, torch.rand(3, 4))


@pytest.mark.slow
@pytest.mark.skipif(
    not any(map(execution_modes.shutil.which, execution_modes._COMPILERS)),
    reason="there is no C++ compiler",
)
def test_compiled_networks_are_compiled_each_and_equal() -> None:
    """More networks of one class than the compiler keeps versions of one code object."""

    class Own(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2))

        def forward(self, rows: Tensor) -> Tensor:
            return self.body(rows)

    batch = torch.rand(3, 4)
    with torch.inference_mode():
        for width in range(2, 12):
            own = Own(width).eval()
            (call,) = calls_of("compiled", {"a": own}, batch).values()
            torch.testing.assert_close(call(), own(batch))


def test_the_cpu_has_no_graphs() -> None:
    with pytest.raises(NotApplicableError, match="no CUDA graphs on the CPU"):
        calls_of("captured", {"a": linear_layers(4, 8, 2)}, torch.rand(3, 4))


@pytest.mark.gpu
def test_a_captured_network_reads_its_batch_anew() -> None:
    one, batch = linear_layers(4, 8, 2).cuda(), torch.rand(3, 4, device="cuda")
    with torch.inference_mode():
        (replay,) = calls_of("captured", {"a": one}, batch).values()
        replay()
        torch.cuda.synchronize()


@pytest.mark.gpu
def test_a_network_that_waits_for_the_gpu_cannot_be_captured() -> None:
    class Waiting(nn.Module):
        def forward(self, rows: Tensor) -> Tensor:
            return rows * rows.sum().item()

    with torch.inference_mode(), pytest.raises(NotApplicableError, match="no CUDA graph"):
        calls_of("captured", {"a": Waiting().eval()}, torch.rand(3, 4, device="cuda"))
