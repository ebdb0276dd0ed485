"""How calls of a library are mapped to images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import BudgetExhaustedError, Oracle
from robench.attacks.libraries import base
from robench.attacks.libraries.base import LibraryAttack, OracleModule, import_library
from robench.errors import AttackError, PluginError


def oracle_of(digits, count: int, limit: int | None = None) -> Oracle:
    images, labels = digits.correct(count)
    return Oracle(check_inputs(digits.model, images, labels), limit=limit)


def test_points_belong_to_rows_in_order_or_to_the_only_row(digits) -> None:
    oracle = oracle_of(digits, 4)
    rows = torch.tensor([3, 1])
    torch.testing.assert_close(OracleModule(oracle, rows)(oracle.images[rows]), oracle.logits[rows])
    assert oracle.forwards.tolist() == [0, 1, 0, 1]
    OracleModule(oracle, rows[:1])(oracle.images[:3])
    assert oracle.forwards.tolist() == [0, 1, 0, 4]
    with pytest.raises(base.RowsUnknownError, match="3 points for 2 images"):
        OracleModule(oracle, rows)(oracle.images[:3])


def test_the_gradient_is_that_of_the_model(digits) -> None:
    oracle = oracle_of(digits, 3)
    points = oracle.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(
        OracleModule(oracle, oracle.rows)(points).logsumexp(1).sum(), points
    )
    leaf = oracle.images.clone().requires_grad_()
    (expected,) = torch.autograd.grad(digits.model(leaf).logsumexp(1).sum(), leaf)
    torch.testing.assert_close(gradient, expected)
    assert oracle.backwards.tolist() == [1, 1, 1]
    with torch.no_grad():
        OracleModule(oracle, oracle.rows)(points)
    assert oracle.forwards.tolist() == [2, 2, 2]


def test_rows_without_budget_end_the_library_even_where_others_have_some(digits) -> None:
    oracle = oracle_of(digits, 3, limit=2)
    module = OracleModule(oracle, torch.tensor([1]))
    module(oracle.images[1:2])
    module(oracle.images[1:2])
    with pytest.raises(BudgetExhaustedError):
        module(oracle.images[1:2])
    assert oracle.left(oracle.rows).tolist() == [2, 0, 2]


class Dropping(LibraryAttack):
    """A library that goes on with some of the images: it walks to black until the class changes."""

    name = "dropping"

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        points, active = images.clone(), torch.arange(len(images))
        for step in range(1, 11):
            points[active] = images[active] * (1 - step / 10)
            active = active[model(points[active]).argmax(dim=1) == labels[active]]
            if not len(active):
                break
        return points


def test_a_library_that_asks_about_some_images_gets_them_one_by_one(digits) -> None:
    images, labels = digits.correct(12)
    result = Dropping()(digits.model, images, labels)
    with torch.no_grad():
        steps = torch.stack(
            [digits.model(images * (1 - step / 10)).argmax(1) != labels for step in range(1, 11)]
        )
    assert result.success.tolist() == steps.any(dim=0).tolist()
    first = steps.int().argmax(dim=0)[result.success]
    expected = (first + 1) / 10 * images[result.success].norm(dim=1)
    torch.testing.assert_close(result.distance[result.success], expected.double())
    alone = Dropping(one_by_one=True)(digits.model, images, labels)
    assert torch.equal(alone.distance, result.distance)
    # What was asked about all of them, until the first dropped out, is billed on top.
    together = result.forwards - alone.forwards
    assert (together == first.min() + 1).all()
    dropping = type("Alone", (Dropping,), {"always_alone": True})()
    assert torch.equal(dropping(digits.model, images, labels).forwards, alone.forwards)


class Picky(Dropping):
    """A library that raises for one of the images."""

    name = "picky"

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        if (labels == labels.new_tensor(3)).any():
            raise ValueError("not a three")
        return super().search(model, images, labels, starts)


def test_one_image_that_fails_leaves_the_others_their_results(digits) -> None:
    images, labels = digits.correct(40)
    assert (labels == 3).any()
    inputs = check_inputs(digits.model, images, labels)
    result = Picky(one_by_one=True).attack(inputs)
    assert "not a three" in str(result.error)
    whole = Dropping().attack(inputs)
    torch.testing.assert_close(result.distance[labels != 3], whole.distance[labels != 3])
    assert result.distance[labels == 3].isinf().all()


class Drawing(LibraryAttack):
    """A library that draws from the global generators."""

    name = "drawing"

    def search(
        self, model: nn.Module, images: Tensor, labels: Tensor, starts: Tensor | None
    ) -> Tensor:
        for _ in range(5):
            model(images + 3 * torch.randn_like(images) + float(np.random.rand()))  # noqa: NPY002
        return images


def test_draws_follow_the_seed_and_leave_the_generators_alone(digits) -> None:
    images, labels = digits.correct(20)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = torch.rand(()), np.random.rand()  # noqa: NPY002
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = Drawing(one_by_one=True)(digits.model, images, labels, seed=1)
    assert (torch.rand(()), np.random.rand()) == expected  # noqa: NPY002
    again = Drawing(one_by_one=True)(digits.model, images, labels, seed=1, batch_size=7)
    assert torch.equal(first.distance, again.distance)
    other = Drawing(one_by_one=True)(digits.model, images, labels, seed=2)
    assert not torch.equal(first.distance, other.distance)


def test_a_library_keeps_to_the_box(digits) -> None:
    images, labels = digits.correct(2)
    with pytest.raises(AttackError, match="keeps to the box"):
        Drawing()(digits.model, images, labels, box=False)


def test_a_library_that_is_missing_says_how_to_get_it() -> None:
    with pytest.raises(PluginError) as caught:
        import_library("no_such_library", hint="pip install it", attack="x:y", where="suite.toml:3")
    assert "'x:y' cannot be had" in str(caught.value)
    assert "pip install it" in str(caught.value)
    assert "suite.toml:3" in str(caught.value)
