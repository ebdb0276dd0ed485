"""Activations that jump, and the surrogates whose gradients stand in for theirs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from robench.errors import InputError, ParameterError
from robench.models import build
from robench.models.activations import KWinners, Sign, SoftWinners, make_activation, surrogates


def made(name: str, **params: object) -> nn.Module:
    return build(
        name, input_shape=(1, 8, 8), classes=3, mean=(0.5,), std=(0.2,), params=params
    ).eval()


def jacobian(function: nn.Module, x: Tensor) -> Tensor:
    return torch.autograd.functional.jacobian(lambda row: function(row[None])[0], x)


def test_the_largest_win_whatever_their_sign() -> None:
    x = torch.tensor([[3.0, -1, 2, 0.5, 1], [-5, -1, -4, -3, -2]])
    expected = torch.tensor([[3.0, 0, 2, 0, 0], [0, -1, 0, 0, -2]])
    assert torch.equal(KWinners(0.4)(x), expected)
    # At least one wins, and two fifths of six are three.
    assert torch.equal(KWinners(0.01)(x)[0], torch.tensor([3.0, 0, 0, 0, 0]))
    assert KWinners(0.4)(torch.arange(6.0)[None]).count_nonzero() == 3
    assert torch.equal(KWinners(1)(x), x)


def test_channels_and_places_compete_together() -> None:
    x = torch.arange(12.0).view(1, 3, 2, 2)
    assert KWinners(0.25)(x).nonzero()[:, 1].tolist() == [2, 2, 2]


def test_the_gradient_of_winners_is_that_of_what_they_pass_on() -> None:
    x = torch.tensor([3.0, -1, 2, 0.5])
    assert torch.equal(jacobian(KWinners(0.5), x), torch.diag(torch.tensor([1.0, 0, 1, 0])))


def test_soft_winners_come_close_to_the_winners() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 100)
    soft, hard = SoftWinners(0.2)(x), KWinners(0.2)(x)
    apart = (x - KWinners(0.2).least_winner(x)).abs() > 1.5
    torch.testing.assert_close(soft[apart], hard[apart], rtol=0.01, atol=0.01)
    # It moves where the hard one does not.
    assert jacobian(SoftWinners(0.2), x[0]).diag().count_nonzero() > 30


def test_signs_and_their_straight_through_gradient() -> None:
    x = torch.tensor([-2.0, -1, -0.5, 0, 0.5, 1, 2])
    assert torch.equal(Sign()(x), torch.tensor([-1.0, -1, -1, 1, 1, 1, 1]))
    assert jacobian(Sign(), x).diag().tolist() == [0, 1, 1, 1, 1, 1, 0]
    assert Sign()(x.double()).dtype == torch.float64


@pytest.mark.parametrize("share", [0, -0.1, 1.1])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(InputError, match="active_share is"):
        KWinners(share)
    with pytest.raises(ParameterError, match="'active_share' cannot be"):
        made("mlp", activation="k-wta", active_share=share)


@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_networks_take_them(name: str) -> None:
    x = torch.rand(4, 1, 8, 8)
    for activation, kind in (("k-wta", KWinners), ("sign", Sign), ("tanh", nn.Tanh)):
        network = made(name, activation=activation)
        kinds = [type(module) for module in network.body]
        assert kinds.count(kind) == (2 if name == "mlp" else 3)
        assert network(x).shape == (4, 3)
    active = made("mlp", activation="k-wta", active_share=0.02)
    assert active.body[:3](active.normalise(x)).count_nonzero(dim=1).tolist() == [10] * 4


@pytest.mark.parametrize(("activation", "view"), [("sign", "tanh"), ("k-wta", "soft")])
@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_a_twin_shares_the_weights_and_replaces_the_activations(
    name: str, activation: str, view: str
) -> None:
    network = made(name, activation=activation)
    surrogate = network.surrogate_networks()[view]
    assert list(network.surrogate_networks()) == [view]
    assert all(
        own is other
        for own, other in zip(network.parameters(), surrogate.parameters(), strict=True)
    )
    assert not any(
        isinstance(module, Sign) or type(module) is KWinners for module in surrogate.modules()
    )
    assert not any(module.training for module in surrogate.modules())
    x = torch.rand(2, 1, 8, 8)
    assert not torch.equal(network(x), surrogate(x))
    with torch.no_grad():
        first = next(network.parameters())
        first.mul_(2)
        assert torch.equal(next(surrogate.parameters()), first)


def test_ordinary_networks_offer_none() -> None:
    assert not made("mlp").surrogate_networks()
    assert not surrogates(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))


def test_an_activation_alone_is_its_own_twin() -> None:
    assert isinstance(surrogates(Sign().eval())["tanh"], nn.Tanh)


def test_activations_by_name() -> None:
    names = ("relu", "tanh", "sign", "k-wta")
    kinds = [type(make_activation(name)) for name in names]
    assert kinds == [nn.ReLU, nn.Tanh, Sign, KWinners]
    assert "active_share=0.3" in repr(make_activation("k-wta", active_share=0.3))
