"""FAB: the projection against a solver of its own, and what few steps of it find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from robench.attacks.algorithms.ddn import DDN
from robench.attacks.algorithms.fab import FAB, projected
from robench.attacks.core.inputs import check_inputs


def problem_of(seed: int, pixels: int = 6) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """An image with half of its pixels on the box, a point, and a plane through the box."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(1, pixels, generator=generator, dtype=torch.float64)
    image[:, : pixels // 2] = image[:, : pixels // 2].round()
    point = torch.rand(1, pixels, generator=generator, dtype=torch.float64)
    gradient = torch.randn(1, pixels, generator=generator, dtype=torch.float64)
    inside = torch.rand(1, pixels, generator=generator, dtype=torch.float64)
    value = -(gradient * (inside - point)).sum(dim=1)
    return image, point, value, gradient


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("box", [True, False])
def test_the_projection_is_what_a_solver_finds(seed: int, box: bool) -> None:
    image, point, value, gradient = problem_of(seed)
    found = projected(image, point, value, gradient, box=box)[0].numpy()
    x, slope = image[0].numpy(), gradient[0].numpy()
    offset = value.item() - slope @ point[0].numpy()
    solved = minimize(
        lambda q: ((q - x) ** 2).sum(),
        x,
        jac=lambda q: 2 * (q - x),
        bounds=[(0, 1)] * len(x) if box else None,
        constraints={"type": "eq", "fun": lambda q: slope @ q + offset, "jac": lambda _: slope},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert solved.success
    np.testing.assert_allclose(found, solved.x, atol=1e-5)


def test_a_plane_outside_the_box_and_one_without_a_slope() -> None:
    image = torch.tensor([[0.2, 0.7], [0.2, 0.7], [0.2, 0.7]])
    gradient = torch.tensor([[1.0, 2.0], [0.0, 0.0], [0.0, 1e-12]])
    # At the image the first function is 9, and 7.4 at best in the box: where both pixels are 0.
    found = projected(image, image, torch.tensor([9.0, 1.0, 1.0]), gradient, box=True)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.2, 0.7], [0.2, 0.0]]))
    assert projected(image, image, torch.ones(3), gradient, box=False)[1].tolist() == [
        pytest.approx(0.2),
        pytest.approx(0.7),
    ]


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_linear_model_is_solved_by_one_step(linear, classes: int) -> None:
    task = linear(classes)
    found = FAB(steps=1, overshoot=1e-3)(task.model, task.images, task.labels, box=False)
    ratio = found.distance / task.distance
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < 1.002
    # One question of each target with a gradient, and one without.
    assert (found.passes == 3 * (classes - 1)).all()


def test_few_steps_come_as_near_as_many_of_ddn_in_a_robust_network(robust) -> None:
    images, labels = robust.correct(60)
    few = FAB()(robust.model, images, labels)
    many = DDN(steps=100, targets=3)(robust.model, images, labels)
    assert few.success.all()
    assert few.distance.mean() < 1.005 * many.distance.mean()
    assert 3 * few.passes.sum() < many.passes.sum()


def test_a_refinement_goes_on_from_what_is_known(digits) -> None:
    images, labels = digits.correct(20)
    known = DDN(steps=20)(digits.model, images, labels)
    inputs = replace(check_inputs(digits.model, images, labels), found=known.adversarial)
    found = FAB(targets=0, steps=12, first_share=0.7, last_share=0.05).attack(inputs)
    assert (found.distance <= known.distance).all()
    assert (found.distance < 0.999 * known.distance).double().mean() > 0.5
