"""How strongly a network's answers react to small changes of the input.

Novak, Bahri, Abolafia, Pennington, Sohl-Dickstein 2018, *Sensitivity and generalization in neural
networks* (arXiv 1802.08760): the Frobenius norm of the Jacobian of the class probabilities with
respect to the input, mean over test inputs. Inputs are those in [0, 1], so that normalisation
counts as part of the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench.spec import Cell, Metric, StageOptions
from robench.spec.options import Samples
from robench.stages import MetricInfo, Stage
from robench.stages.base import Context, Outcome

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["JacobianNorm", "jacobian_norms"]

_BATCH = 256


class JacobianNormOptions(StageOptions):
    """What a suite may set: ``evaluate: {jacobian_norm: {samples: 500}}``."""

    samples: Samples = None


class JacobianNorm(Stage[JacobianNormOptions]):
    """Norm of the Jacobian of the class probabilities, mean over clean test inputs."""

    name = "jacobian_norm"
    Options = JacobianNormOptions
    metrics = (
        MetricInfo(
            "jacobian_norm",
            "Jacobian norm",
            "Mean Frobenius norm of the Jacobian of the class probabilities with respect to the "
            "input: how far they move for a small change, at most.",
            bounds=(0.0, float("inf")),
            better="lower",
            shown="leaderboard",
        ),
    )

    def applies_to(self, data):
        """Networks with classes have probabilities."""
        return data.task == "classification" or "there are no class probabilities"

    def run(self, cell: Cell, context: Context) -> Outcome:
        """The mean, and the norm of each input as an array."""
        import torch

        from robench.data.base import to_float
        from robench.stages.network import trained_network

        options = cell.options_as(JacobianNormOptions)
        test = context.data.test.first(options.samples)
        network = trained_network(cell, context)
        inputs = to_float(test.images.to(context.device))
        norms = torch.cat([jacobian_norms(network, part) for part in inputs.split(_BATCH)])
        return Outcome(
            metrics=(Metric(name="jacobian_norm", value=float(norms.mean()), n=len(test)),),
            arrays={"index": test.index.numpy(), "jacobian_norm": norms.cpu().numpy()},
        )


def jacobian_norms(network: nn.Module, inputs: Tensor) -> Tensor:
    """The norm of each input's Jacobian, [N]; the network is in evaluation mode.

    Args:
        network: gives logits [N, classes]; an input's logits depend on it alone.
        inputs: float32 [N, ...] in [0, 1].
    """
    import torch

    inputs = inputs.detach().requires_grad_()
    shares = network(inputs).softmax(dim=1)  # [N, classes]
    squares = torch.zeros(len(inputs), device=inputs.device)
    for label in range(shares.shape[1]):
        # Inputs do not meet: the gradient of the sum has the gradient of each in its row.
        (row,) = torch.autograd.grad(shares[:, label].sum(), inputs, retain_graph=True)
        squares += row.flatten(1).square().sum(dim=1)
    return squares.sqrt().detach()
