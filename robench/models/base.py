"""The interface of a model, its prunable tensors, and the way from a name to a network.

A model is one class in one file:

    class Wide(Network):
        \"\"\"One wide hidden layer.\"\"\"  # what `robench list models` shows

        name = "wide"

        class Params(Frozen):
            width: int = 1000

        def layers(self, params: Params, /) -> nn.Sequential:
            features = math.prod(self.input_shape)
            return nn.Sequential(
                nn.Flatten(), nn.Linear(features, params.width), nn.ReLU(),
                nn.Linear(params.width, self.classes),
            )

That is all: checking, normalisation, initialisation and seeding are the base class's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from robench.errors import InputError, NotApplicableError
from robench.models.activations import surrogates
from robench.models.residual import identity_branches
from robench.spec.base import Frozen
from robench.spec.params import check_params_schema, parse_params

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

__all__ = ["Network", "Normalise", "build", "check_plugin", "prunable"]


class Normalise(nn.Module):
    """Subtracts the mean of each channel or feature and divides by its standard deviation.

    Args:
        mean: one value a channel or feature, in the units of the input, [0, 1].
        std: likewise; positive.
        dims: dimensions of one input: 3 for an image, 1 for a row of features.

    Raises:
        InputError: a mean that is not finite, or a standard deviation that is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], *, dims: int) -> None:
        super().__init__()
        if len(mean) != len(std):
            raise InputError(f"{len(mean)} means do not go with {len(std)} standard deviations")
        for value in mean:
            if not math.isfinite(value):
                raise InputError(f"the mean {value!r} is not finite")
        for value in std:
            if not (math.isfinite(value) and value > 0):
                raise InputError(
                    f"the standard deviation {value!r} cannot be divided by",
                    allowed="finite values above 0",
                    hint="give a constant channel or feature the standard deviation 1",
                )
        shape = (-1,) + (1,) * (dims - 1)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).reshape(shape))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).reshape(shape))

    def forward(self, x: Tensor) -> Tensor:
        """``(x - mean) / std``, of the same shape."""
        return (x - self.mean) / self.std


class Network(nn.Module):
    """A classifier that takes inputs in [0, 1] and returns logits.

    Subclasses set `name`, `version` and `Params`, and fill `layers`; see the module's docstring.
    ``forward(x) = body(normalise(x))``.

    Args:
        input_shape: (C, H, W) of an image or (F,) of a row of features.
        classes: how many outputs there are: one for each class, or 1 for a regression.
        mean: mean of each channel or feature of the training data, in [0, 1].
        std: standard deviation of each, positive.
        params: the model's parameters; `None` means the defaults.

    Raises:
        InputError: a shape that no data has.
        ParameterError: a parameter that the model does not take.
        NotApplicableError: the model cannot take inputs of this shape.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it with every change that changes a figure."""
    Params: ClassVar[type[BaseModel]] = Frozen

    normalise: Normalise
    body: nn.Sequential

    def __init__(
        self,
        *,
        input_shape: Sequence[int],
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        params: Mapping[str, object] | BaseModel | None = None,
    ) -> None:
        super().__init__()
        self.input_shape = _checked_shape(input_shape, channels=len(mean))
        if classes < 1:
            raise InputError(f"a network of {classes!r} outputs says nothing", allowed="1 or more")
        self.classes = classes
        self.params = parse_params(f"model {self.name!r}", self.Params, params)
        self.normalise = Normalise(mean, std, dims=len(self.input_shape))
        self.body = self.layers(self.params)
        self.initialise()

    def layers(self, params: Any, /) -> nn.Sequential:
        """The layers after normalisation, from `self.input_shape` to `self.classes` logits.

        Args:
            params: an instance of the class's own `Params`.

        Raises:
            NotApplicableError: inputs of this shape cannot be taken.
        """
        raise NotImplementedError

    def initialise(self) -> None:
        """Draw initial weights: normal with variance 2 / fan-in, biases zero (He et al. 2015).

        BatchNorm keeps its ones and zeros. Override for other initial weights; draw from the
        global generators only, which `build` seeds and restores.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def prunable(self) -> dict[str, nn.Parameter]:
        """The weights that a method may set to zero, by qualified name, in module order.

        By default those of all Conv2d and Linear layers. A model leaves some out by overriding.
        """
        return _convolution_and_linear_weights(self)

    def residual_branches(self) -> tuple[tuple[str, ...], ...]:
        """The layers of each branch that runs beside an identity shortcut, and can go whole.

        Returns:
            For each branch, the qualified names of its Conv2d, Linear and BatchNorm modules. With
            all their weights and biases at zero, the block hands its input on. By default what
            `robench.models.residual.identity_branches` finds: nothing in a chain of layers.
        """
        return identity_branches(self)

    def surrogate_networks(self) -> Mapping[str, nn.Module]:
        """Surrogates whose gradients an attack may use in place of this network's own, by name.

        Backward pass differentiable approximation, BPDA (Athalye, Carlini, Wagner 2018, arXiv
        1802.00420): the logits are those of this network, the gradient is that of the surrogate. A
        surrogate takes the same inputs, gives as many logits, and is in evaluation mode when this
        network is. By default: this network with the differentiable surrogates that its
        activations offer, see `robench.models.activations`; none where no activation jumps.
        """
        return surrogates(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, classes] of inputs [N, *input_shape] in [0, 1]."""
        logits: Tensor = self.body(self.normalise(x))
        return logits

    def image_shape(self, smallest_px: int = 1) -> tuple[int, int, int]:
        """`input_shape` as (channels, height, width), for models that need images.

        Args:
            smallest_px: the least height and width that the layers can take, in pixels.

        Raises:
            NotApplicableError: the inputs are no images, or too small.
        """
        if len(self.input_shape) != 3:
            raise NotApplicableError(
                f"{self.name} needs images, not rows of {self.input_shape[0]} features",
                allowed="(channels, height, width)",
                hint="use mlp or lenet-300-100 for tabular data",
            )
        channels, height, width = self.input_shape
        if min(height, width) < smallest_px:
            raise NotApplicableError(
                f"{self.name} cannot take images of {height}x{width} pixels",
                allowed=f"at least {smallest_px}x{smallest_px} pixels",
            )
        return channels, height, width


def prunable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of a network that a method may set to zero.

    Args:
        model: any network; one with a method `prunable()` is asked, otherwise all Conv2d and
            Linear weights count. A weight that several layers share is named once.

    Returns:
        Qualified parameter name → parameter, in module order. Biases and BatchNorm never count.
    """
    own = getattr(model, "prunable", None)
    if callable(own):
        chosen: dict[str, nn.Parameter] = own()
        return chosen
    return _convolution_and_linear_weights(model)


def build(
    name: str,
    *,
    input_shape: Sequence[int],
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    params: Mapping[str, object] | BaseModel | None = None,
    seed: int = 0,
) -> Network:
    """A network by name, on the CPU, in float32 and in training mode, with seeded initial weights.

    The same arguments give the same weights, whatever was drawn before; torch's global generator
    is left as it was found.

    Args:
        name: as in ``robench list models``.
        input_shape: (C, H, W) of an image or (F,) of a row of features.
        classes: how many outputs there are: one for each class, or 1 for a regression.
        mean: mean of each channel or feature of the training data, in [0, 1].
        std: standard deviation of each, positive.
        params: the model's parameters that differ from its defaults.
        seed: of the initial weights, in [0, 2**63).

    Raises:
        UnknownNameError: there is no such model.
        ParameterError: a parameter that the model does not take.
        InputError: a shape that no data has, or a seed out of range.
        NotApplicableError: the model cannot take inputs of this shape.
    """
    from robench.models import MODELS

    if not 0 <= seed < 2**63:
        raise InputError(
            f"the seed {seed!r} is out of range", allowed="whole numbers in [0, 2**63)"
        )
    model = MODELS.get(name)
    # The CPU generator alone: torch.manual_seed would also reseed every GPU's.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        return model(
            input_shape=input_shape, classes=classes, mean=mean, std=std, params=params
        ).float()


def check_plugin(value: object) -> str | None:
    """Why `value` is not a model, or `None` if it is one."""
    if not isinstance(value, type) or not issubclass(value, Network):
        return "it is not a subclass of robench.models.base.Network"
    if value.layers is Network.layers:
        return "it does not fill `layers`"
    return check_params_schema(value)


def _convolution_and_linear_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    weights: dict[str, nn.Parameter] = {}
    seen: set[int] = set()
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        is_layer = isinstance(module, nn.Conv2d | nn.Linear)
        if is_layer and isinstance(weight, nn.Parameter) and id(weight) not in seen:
            seen.add(id(weight))
            weights[f"{name}.weight" if name else "weight"] = weight
    return weights


def _checked_shape(input_shape: Sequence[int], *, channels: int) -> tuple[int, ...]:
    shape = tuple(int(extent) for extent in input_shape)
    if len(shape) not in (1, 3) or min(shape) < 1:
        raise InputError(
            f"{shape} is not the shape of an input",
            allowed="(channels, height, width) of an image, or (features,) of a row",
        )
    if shape[0] != channels:
        raise InputError(
            f"{channels} means do not go with inputs of shape {shape}",
            allowed=f"{shape[0]} values, one a {'channel' if len(shape) == 3 else 'feature'}",
        )
    return shape
