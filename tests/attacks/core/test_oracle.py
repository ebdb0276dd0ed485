"""Counting, limiting and remembering, row by row."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from robench.attacks.algorithms.ddn import DDN
from robench.attacks.algorithms.deepfool import DeepFool
from robench.attacks.algorithms.nearest import NearestOtherClass
from robench.attacks.core.inputs import check_inputs
from robench.attacks.core.oracle import BudgetExhaustedError, Oracle
from robench.errors import InputError


class Passes(torch.autograd.Function):
    """The identity, which counts the rows that go through it, forwards and backwards."""

    @staticmethod
    def forward(ctx, points: Tensor, counts: dict[str, int]) -> Tensor:
        ctx.counts = counts
        return points.view_as(points)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.counts["backwards"] += len(gradient)
        return gradient, None


class Counting(nn.Module):
    """A convolutional network that counts by itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))
        self.counts = {"forwards": 0, "backwards": 0}

    def forward(self, images: Tensor) -> Tensor:
        self.counts["forwards"] += len(images)
        return self.body(Passes.apply(images, self.counts))


class Threshold(nn.Module):
    """Class 1 from a mean of 0.5 on, with a slope."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(dim=1)
        return torch.stack([0.5 - mean, mean - 0.5], dim=1) * 10


def threshold_oracle(*means: float, limit: int | None = None, box: bool = True) -> Oracle:
    images = torch.tensor(means)[:, None].expand(-1, 4).contiguous()
    labels = torch.zeros(len(means), dtype=torch.int64)
    return Oracle(check_inputs(Threshold().eval(), images, labels, box=box), limit=limit)


def constant(*means: float) -> Tensor:
    return torch.tensor(means)[:, None].expand(-1, 4).contiguous()


@pytest.mark.parametrize(
    "attack",
    [DeepFool(steps=5), DDN(steps=7), DDN(steps=4, targets=3), NearestOtherClass(candidates=3)],
    ids=repr,
)
def test_counts_are_those_of_the_model_itself(attack) -> None:
    model = Counting().eval()
    images = torch.rand(12, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    labels = model(images).argmax(dim=1)
    labels[::3] = (labels[::3] + 1) % 5  # misclassified ones must cost nothing
    inputs = check_inputs(model, images, labels)
    model.counts.update(forwards=0, backwards=0)
    result = attack.attack(inputs)
    # Judging what came out runs the model twice more on each attacked image, unbilled.
    judged = 2 * int(inputs.correct.sum())
    assert int(result.forwards.sum()) == model.counts["forwards"] - judged
    assert int(result.backwards.sum()) == model.counts["backwards"]
    assert (result.passes[::3] == 0).all()
    assert result.error is None


def test_each_question_has_its_price() -> None:
    oracle = threshold_oracle(0.1, 0.2, 0.3)
    rows = torch.tensor([2, 0, 2])
    points = oracle.images[rows]
    oracle.query(points, rows)
    oracle.gradient(points, rows, lambda logits: logits[:, 0])
    oracle.jacobian(points, rows, torch.ones(4, 3, 2))
    assert oracle.forwards.tolist() == [3, 0, 6]
    assert oracle.backwards.tolist() == [5, 0, 10]


def test_a_permuted_batch_is_measured_against_the_right_images() -> None:
    oracle = threshold_oracle(0.1, 0.3)
    oracle.query(constant(0.7, 0.6), torch.tensor([1, 0]))
    assert oracle.best_distance.tolist() == pytest.approx([1.0, 0.8])
    torch.testing.assert_close(oracle.best, constant(0.6, 0.7))


def test_an_attack_that_starts_at_another_image_is_billed_to_its_own() -> None:
    oracle = threshold_oracle(0.1, 0.4)
    oracle.query(constant(0.4), torch.tensor([0]))  # exactly the image of row 1
    assert oracle.forwards.tolist() == [1, 0]


def test_the_best_of_a_repeated_row_is_remembered_and_never_gets_longer() -> None:
    oracle = threshold_oracle(0.1, 0.2)
    oracle.query(constant(0.9, 0.7, 0.8, 0.3), torch.tensor([0, 0, 0, 1]))
    assert oracle.best_distance.tolist() == pytest.approx([1.2, float("inf")])
    torch.testing.assert_close(oracle.best, constant(0.7, 0.2))
    oracle.query(constant(0.8), torch.tensor([0]))
    assert oracle.best_distance[0].item() == pytest.approx(1.2)


def test_points_are_clipped_before_the_model_sees_them() -> None:
    row = torch.tensor([0])
    boxed, free = threshold_oracle(0.1), threshold_oracle(0.1, box=False)
    assert boxed.query(constant(3.0), row)[0, 1] == 5
    assert boxed.best_distance.tolist() == pytest.approx([1.8])
    assert free.query(constant(3.0), row)[0, 1] == 25


def test_what_is_not_a_number_is_never_remembered() -> None:
    oracle = threshold_oracle(0.1, box=False)
    oracle.query(constant(float("nan"), float("inf")), torch.tensor([0, 0]))
    assert oracle.best_distance.tolist() == [float("inf")]


@pytest.mark.parametrize("limit", [1, 2, 5, 6, 7])
def test_the_budget_is_never_exceeded(limit: int) -> None:
    oracle = threshold_oracle(0.1, 0.2, limit=limit)
    rows = torch.tensor([0, 1, 0])

    def ask_on() -> None:
        for _ in range(20):
            oracle.gradient(oracle.images[rows], rows, lambda logits: logits[:, 0])
            oracle.query(oracle.images[:1], rows[:1])
            oracle.query(oracle.images[1:], rows[1:2])

    with pytest.raises(BudgetExhaustedError):
        ask_on()
    assert (oracle.forwards + oracle.backwards).tolist() == [limit, limit]


def test_an_exhausted_image_gets_its_own_class_and_no_gradient() -> None:
    oracle = threshold_oracle(0.1, 0.2, limit=2)
    both = oracle.rows
    oracle.query(constant(0.9, 0.3), both)
    oracle.query(constant(0.3), both[:1])
    logits, gradient = oracle.gradient(
        constant(0.8, 0.8), both, lambda logits: logits[:, 0] - logits[:, 1]
    )
    assert logits.argmax(dim=1).tolist() == [0, 0]  # neither has the two passes that this costs
    assert not gradient.any()
    assert oracle.query(constant(0.8, 0.8), both).argmax(dim=1).tolist() == [0, 1]
    assert oracle.best_distance.tolist() == pytest.approx([1.6, 1.2])
    with pytest.raises(BudgetExhaustedError):
        oracle.query(constant(0.8, 0.8), both)


def test_asking_on_for_spent_images_ends_the_attack() -> None:
    oracle = threshold_oracle(0.1, 0.2, limit=3)
    spent = torch.tensor([0])
    for _ in range(6):  # three answers, three refusals
        oracle.query(constant(0.3), spent)
    with pytest.raises(BudgetExhaustedError):
        oracle.query(constant(0.3), spent)
    oracle = threshold_oracle(0.1, 0.2, limit=3)
    for _ in range(3):  # who turns to another image in between may go on
        for row in (0, 0, 0, 1):
            oracle.query(constant(0.3), torch.tensor([row]))
    assert oracle.forwards.tolist() == [3, 3]


@pytest.mark.parametrize(
    ("surrogate_passes", "forwards", "backwards"), [(0, 3, 4), (1, 5, 4), (10, 23, 40)]
)
def test_passes_of_a_twin_are_billed(surrogate_passes: int, forwards: int, backwards: int) -> None:
    images = constant(0.1)
    inputs = check_inputs(Threshold().eval(), images, None)
    oracle = Oracle(replace(inputs, surrogate_passes=surrogate_passes))
    rows = oracle.rows
    oracle.query(images, rows)
    oracle.gradient(images, rows, lambda logits: logits[:, 0])
    oracle.jacobian(images, rows, torch.ones(3, 1, 2))
    assert (oracle.forwards.item(), oracle.backwards.item()) == (forwards, backwards)


def test_a_search_may_begin_elsewhere() -> None:
    images = constant(0.1, 0.2)
    inputs = check_inputs(Threshold().eval(), images, None)
    assert torch.equal(Oracle(inputs).starts, images)
    oracle = Oracle(replace(inputs, starts=constant(0.7, 0.8)).select(torch.tensor([1])))
    assert torch.equal(oracle.starts, constant(0.8))
    assert torch.equal(oracle.best, constant(0.8))
    assert oracle.best_distance.isinf().all()
    oracle.query(constant(0.9), oracle.rows)  # adversarial: it counts, further away as it is
    assert oracle.best_distance.tolist() == pytest.approx([1.4])


def test_what_was_found_before_counts() -> None:
    images = constant(0.1, 0.2)
    inputs = replace(check_inputs(Threshold().eval(), images, None), found=constant(0.7, 0.2))
    oracle = Oracle(inputs)
    assert oracle.best_distance.tolist() == pytest.approx([1.2, float("inf")])
    oracle.query(constant(0.8, 0.8), oracle.rows)
    torch.testing.assert_close(oracle.best, constant(0.7, 0.8))
    assert oracle.best_distance.tolist() == pytest.approx([1.2, 1.2])


def test_a_repeated_row_pays_each_time() -> None:
    oracle = threshold_oracle(0.1, limit=2)
    logits = oracle.query(constant(0.9, 0.8, 0.7), torch.tensor([0, 0, 0]))
    assert logits.argmax(dim=1).tolist() == [1, 1, 0]
    assert oracle.forwards.tolist() == [2]


@pytest.mark.parametrize("points", [torch.rand(2, 3), torch.rand(1, 4), torch.rand(4)])
def test_questions_of_another_shape_are_refused(points: Tensor) -> None:
    with pytest.raises(InputError, match="points of shape"):
        threshold_oracle(0.1, 0.2).query(points, torch.tensor([0, 1]))


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(InputError, match="limit is 0"):
        threshold_oracle(0.1, limit=0)


class Branching(torch.autograd.Function):
    """The identity; its derivative asks the data, which vectorised derivatives cannot."""

    @staticmethod
    def forward(ctx, points: Tensor) -> Tensor:
        return points.view_as(points)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient if bool((gradient == gradient).all()) else gradient * 0


class Applied(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Tensor:
        return self.function(images)


@pytest.mark.parametrize(
    "first", [nn.Identity(), Applied(Branching.apply), nn.Conv1d(1, 1, 1)], ids=type
)
def test_jacobians_are_those_of_autograd(first: nn.Module) -> None:
    torch.manual_seed(1)
    if isinstance(first, nn.Conv1d):
        first = nn.Sequential(nn.Unflatten(1, (1, 4)), first, nn.Flatten())
    model = nn.Sequential(first, nn.Linear(4, 7), nn.Tanh(), nn.Linear(7, 3)).eval()
    images = torch.rand(5, 4)
    inputs = check_inputs(model, images, None)
    oracle, model = Oracle(inputs), inputs.model
    weights = torch.randn(2, 5, 3)
    logits, gradients = oracle.jacobian(images, oracle.rows, weights)
    full = torch.stack(
        [torch.autograd.functional.jacobian(model, image[None])[0, :, 0] for image in images]
    )
    torch.testing.assert_close(gradients, torch.einsum("knc,ncf->knf", weights, full))
    torch.testing.assert_close(logits, model(images).detach())
    _, gradient = oracle.gradient(images, oracle.rows, lambda logits: (logits * weights[0]).sum(1))
    torch.testing.assert_close(gradient, gradients[0])


@pytest.mark.parametrize(
    "model",
    [
        Applied(lambda images: images[:, :3].detach() * 2),
        Applied(lambda images: (images[:, :3] - images[:, :3]).sqrt() + torch.arange(3.0)),
    ],
    ids=["cut", "infinite"],
)
def test_gradients_that_do_not_exist_are_zero(model: nn.Module) -> None:
    images = torch.rand(2, 4)
    oracle = Oracle(check_inputs(model.eval(), images, None))
    _, gradient = oracle.gradient(images, oracle.rows, lambda logits: logits[:, 0])
    _, gradients = oracle.jacobian(images, oracle.rows, torch.ones(2, 2, 3))
    assert gradient.shape == images.shape
    assert gradients.shape == (2, *images.shape)
    assert not gradient.any()
    assert not gradients.any()


def test_noise_belongs_to_the_image() -> None:
    together, alone = threshold_oracle(0.1, 0.2, 0.3), threshold_oracle(0.3)
    first = together.noise(torch.tensor([2, 0]))
    assert torch.equal(first[:1], alone.noise(torch.tensor([0])))
    torch.testing.assert_close(first.norm(dim=1), torch.ones(2))
    second = together.noise(torch.tensor([2]))
    assert not torch.equal(second, first[:1])
    assert torch.equal(second, alone.noise(torch.tensor([0])))


# -- questions of other libraries -----------------------------------------------------------------


def test_attached_logits_have_the_gradient_and_cost_a_pass_each_time_it_is_asked_for() -> None:
    model = Counting().eval()
    images = torch.rand(3, 1, 6, 6)
    oracle = Oracle(check_inputs(model, images, None))
    model.counts.update(forwards=0, backwards=0)
    points = (images * 0.9).requires_grad_()
    rows = torch.tensor([2, 0, 0])
    logits = oracle.attached(points, rows)
    weights = torch.rand(3, 5)
    for _ in range(2):
        (gradient,) = torch.autograd.grad(logits, points, weights, retain_graph=True)
    leaf = points.detach().requires_grad_()
    (expected,) = torch.autograd.grad(model.body(leaf), leaf, weights)
    torch.testing.assert_close(gradient, expected)
    assert oracle.forwards.tolist() == [2, 0, 1]
    assert oracle.backwards.tolist() == [4, 0, 2]
    assert model.counts == {"forwards": 3, "backwards": 6}


def test_attached_logits_without_a_gradient_to_ask_for_cost_a_forward_pass() -> None:
    oracle = threshold_oracle(0.2, 0.4)
    logits = oracle.attached(torch.full((2, 4), 0.6), oracle.rows)
    assert not logits.requires_grad
    assert oracle.forwards.tolist() == [1, 1]
    assert oracle.best_distance.tolist() == pytest.approx([0.8, 0.4])


def test_a_gradient_that_cannot_be_paid_for_is_zero() -> None:
    oracle = threshold_oracle(0.2, 0.4, limit=3)
    oracle.query(oracle.images[:1], oracle.rows[:1])
    points = oracle.images.clone().requires_grad_()
    logits = oracle.attached(points, oracle.rows)
    assert oracle.left(oracle.rows).tolist() == [1, 2]
    gradients = [
        torch.autograd.grad(logits[:, 1].sum(), points, retain_graph=True)[0].abs().sum(dim=1)
        for _ in range(3)
    ]
    assert torch.stack(gradients).gt(0).tolist() == [[True, True], [False, True], [False, False]]
    assert oracle.left(oracle.rows).tolist() == [0, 0]
    with pytest.raises(BudgetExhaustedError):
        oracle.attached(points, oracle.rows)


def test_a_model_without_derivatives_gives_a_gradient_of_zero() -> None:
    class Steep(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return (images[:, :2] > 0.5).float()

    oracle = Oracle(check_inputs(Steep().eval(), torch.tensor([[0.9, 0.1]]), None))
    points = oracle.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(oracle.attached(points, oracle.rows).sum(), points)
    assert torch.equal(gradient, torch.zeros(1, 2))


def test_a_gradient_that_is_not_finite_is_zero_there() -> None:
    class Root(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.stack([images[:, 0].sqrt() + 1, images[:, 1]], dim=1)

    oracle = Oracle(check_inputs(Root().eval(), torch.tensor([[0.0, 0.5]]), None))
    points = oracle.images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(oracle.attached(points, oracle.rows).sum(), points)
    assert gradient.tolist() == [[0, 1]]


def test_passes_are_left_without_a_limit_too() -> None:
    oracle = threshold_oracle(0.2)
    oracle.query(oracle.images, oracle.rows)
    assert oracle.left(oracle.rows).tolist() == [float("inf")]
