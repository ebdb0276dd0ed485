"""Forms with sparse kernels for unstructured and 2:4 sparsity, reported under their own label.

Compressed sparse rows (CSR) skip every zero, but read an index for each nonzero weight: below about
80 % zeros the dense kernel of a linear layer is faster. Convolutions have a compiled kernel over
their nonzero weights (:mod:`robench.deploy.forms.scattered`). 2:4 sparsity needs two zeros in each
four neighbours of a row, and a GPU that multiplies such rows in half precision (Mishra et al. 2021,
arXiv 2104.08378). These forms never replace dense kernels silently; they are timed in addition,
whether faster or slower.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

from robench.deploy.backends import has_kernel
from robench.deploy.dispatcher import is_transformed, is_unwatched, to_dense
from robench.deploy.forms.scattered import ScatteredConv2d
from robench.errors import CompactionError, InputError, NotApplicableError
from robench.graph.checks import check_example, check_network, precision_of
from robench.graph.observe import observe, run
from robench.graph.proof import prove_equal

if TYPE_CHECKING:
    from torch import Tensor

    from robench.graph.differences import Differences

__all__ = [
    "CsrForm",
    "CsrLinear",
    "HalfPrecision",
    "TwoOfFourForm",
    "csr_form",
    "two_of_four_form",
]

_LEAST_ZEROS = 0.5
"""Least share of zeros of a layer with a CSR kernel; it is faster from about 0.8."""
_FIRST_CAPABILITY = (8, 0)
"""Least compute capability for 2:4 sparsity: Ampere."""
_HALF_TOLERANCE = 2e-2
"""Largest rounding difference of a logit in half precision, as a share of the largest logit."""


class CsrLinear(nn.Module):
    """A linear layer with its weight in compressed sparse rows.

    Gradients reach its inputs; its own weight takes none. Where torch has no sparse product
    (tangents, transforms, mixed precision), it computes the dense product.

    Args:
        linear: the layer; its zeros are not stored.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that CSR is a beta feature of torch
            self.register_buffer("weight", linear.weight.detach().to_sparse_csr())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach()[:, None])

    def __deepcopy__(self, memo: dict[int, object]) -> CsrLinear:
        """A copy with a weight of its own, which torch does not make of sparse tensors."""
        surrogate = copy.copy(self)
        surrogate._buffers = {
            name: None if value is None else value.clone() for name, value in self._buffers.items()
        }
        memo[id(self)] = surrogate
        return surrogate

    def forward(self, rows: Tensor) -> Tensor:
        """[…, in_features] → […, out_features]."""
        if not is_unwatched():
            return F.linear(
                rows, to_dense(self.weight), None if self.bias is None else self.bias[:, 0]
            )
        columns = rows.reshape(-1, self.in_features).t()
        written: Tensor = (
            torch.sparse.mm(self.weight, columns)
            if self.bias is None
            else torch.addmm(self.bias, self.weight, columns)
        )
        return written.t().reshape(*rows.shape[:-1], self.out_features)


class HalfPrecision(nn.Module):
    """A network in half precision, with inputs and logits in single precision.

    Args:
        network: it is not changed.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).half()

    def forward(self, inputs: Tensor) -> Tensor:
        """Inputs [N, …] → logits [N, classes], both float32."""
        logits: Tensor = self.network(inputs.half())
        return logits.float()


@dataclass(frozen=True)
class CsrForm:
    """A network with CSR kernels.

    Attributes:
        network: of the same function and the same input gradients.
        layers: name of a layer with a CSR kernel → its share of zero weights.
        differences: from the original network.
    """

    network: nn.Module
    layers: dict[str, float]
    differences: Differences


@dataclass(frozen=True)
class TwoOfFourForm:
    """A network with 2:4 kernels, and the same network with dense kernels in half precision.

    Attributes:
        dense: half precision, dense kernels.
        network: half precision, 2:4 kernels. It gives no gradients: torch has none for inputs.
        layers: names of the layers with a 2:4 kernel.
        difference: the largest absolute difference of a logit between the two.
    """

    dense: nn.Module
    network: nn.Module
    layers: tuple[str, ...]
    difference: float


def csr_form(model: nn.Module, example: Tensor) -> CsrForm:
    """Give every layer with at least 50 % zeros a sparse kernel.

    These are linear layers, and convolutions if this machine has kernels for them, for images of
    this size. Outputs and input gradients are proven equal, as :func:`robench.compact` proves them.

    Args:
        model: in evaluation mode, float32 or float64; it is not changed.
        example: real inputs, [N, …] as the network takes them, N ≥ 1.

    Raises:
        InputError: the network is in training mode, or does not take the example.
        NotApplicableError: no layer that there is a kernel for has enough zeros.
        CompactionError: layers share a weight, or the form is not equal; names the layer.
    """
    check_network(model)
    precision = precision_of(model)
    given = check_example(model, example)
    maps = _read_by_convolutions(model, given.to(precision))
    zeros = {name: _zeros(part) for name, part in (_linears(model) | _convolutions(model)).items()}
    layers = {
        name: share
        for name, share in zeros.items()
        if share >= _LEAST_ZEROS and (name in maps or name in _linears(model))
    }
    if not layers:
        most = max(zeros.values(), default=None)
        found = "there is none with weights" if most is None else f"the most is {most:.0%}"
        raise NotApplicableError(
            f"no layer that a sparse kernel serves has {_LEAST_ZEROS:.0%} zeros: {found}"
        )
    with torch.inference_mode(mode=False):
        inputs = given.double()
        original = copy.deepcopy(model).double()
        network = copy.deepcopy(original)
        parts = _linears(original) | _convolutions(original)
        for name in layers:
            part = parts[name]
            form = (
                CsrLinear(part)
                if isinstance(part, nn.Linear)
                else ScatteredConv2d(part, maps[name])
            )
            network.set_submodule(name, form.eval())
        kept = {
            name: torch.ones(len(part.weight), dtype=torch.bool) for name, part in parts.items()
        }
        differences = prove_equal(original, network, kept, inputs)
    return CsrForm(network.to(precision), layers, differences)


def two_of_four_form(model: nn.Module, example: Tensor) -> TwoOfFourForm:
    """Give every linear layer with two zeros in each four weights of a row a 2:4 kernel.

    Args:
        model: in evaluation mode, float32, on a CUDA device; it is not changed.
        example: real inputs, [N, …] as the network takes them, N ≥ 1.

    Raises:
        InputError: the network is in training mode, or does not take the example.
        NotApplicableError: no GPU that has such kernels, no such layer, or torch refuses its shape.
        CompactionError: layers share a weight, or logits differ by more than half precision does.
    """
    check_network(model)
    layers = tuple(name for name, linear in _linears(model).items() if _is_two_of_four(linear))
    _check_gpu(example.device)
    if not layers:
        raise NotApplicableError("no linear layer has two zeros in each four weights of a row")
    inputs = check_example(model, example).float()
    dense, sparse = HalfPrecision(model).eval(), HalfPrecision(model).eval()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it is a prototype
            for name in layers:
                linear = _linears(sparse.network)[name]
                packed = torch.sparse.to_sparse_semi_structured(linear.weight)
                linear.weight = nn.Parameter(packed, requires_grad=False)
            expected, found = run(dense, inputs), run(sparse, inputs)
    except (RuntimeError, NotImplementedError) as error:
        raise NotApplicableError(f"torch has no 2:4 kernel for this: {error}") from error
    difference = float((found - expected).abs().amax())
    allowed = _HALF_TOLERANCE * max(1.0, float(expected.abs().amax()))
    if not difference <= allowed:
        raise CompactionError(
            f"2:4 kernels move a logit by {difference:.3g}",
            where=layers[0],
            allowed=f"differences up to {allowed:.3g}, the rounding of half precision",
        )
    return TwoOfFourForm(dense, _WithoutGradients(sparse), layers, difference)


class _WithoutGradients(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval()
        self.eval()

    def forward(self, inputs: Tensor) -> Tensor:
        if (inputs.requires_grad and torch.is_grad_enabled()) or is_transformed():
            raise InputError(
                "2:4 kernels give no gradients or tangents of their inputs",
                hint="attack the dense network: its function is the same",
            )
        logits: Tensor = self.network(inputs)
        return logits


def _linears(model: nn.Module) -> dict[str, nn.Linear]:
    return {name: part for name, part in model.named_modules() if type(part) is nn.Linear}


def _convolutions(model: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: part for name, part in model.named_modules() if type(part) is nn.Conv2d}


def _read_by_convolutions(model: nn.Module, example: Tensor) -> dict[str, tuple[int, int, int]]:
    """Channels, height and width that each convolution reads for which there is a kernel."""
    convolutions = _convolutions(model)
    seen = observe(model, convolutions, example[:1])
    return {
        name: (maps.shape[1], maps.shape[2], maps.shape[3])
        for name, (maps, _) in seen.items()
        if has_kernel(convolutions[name], maps)
    }


def _zeros(layer: nn.Linear | nn.Conv2d) -> float:
    return 1 - int(layer.weight.count_nonzero()) / layer.weight.numel()


def _is_two_of_four(linear: nn.Linear) -> bool:
    if linear.in_features % 4:
        return False
    alive = linear.weight.detach().view(linear.out_features, -1, 4).count_nonzero(2)
    return bool((alive <= 2).all())


def _check_gpu(device: torch.device) -> None:
    if device.type != "cuda":
        raise NotApplicableError("2:4 kernels run on a GPU alone")
    capability = torch.cuda.get_device_capability(device)
    if capability < _FIRST_CAPABILITY:
        raise NotApplicableError(
            f"{torch.cuda.get_device_name(device)} has no 2:4 kernels: it is of capability "
            f"{'.'.join(map(str, capability))}",
            allowed="8.0 and above",
        )
