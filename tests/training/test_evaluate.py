"""Prediction: evaluation mode, batch sizes, types."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from robench.errors import InputError
from robench.training.evaluate import predict


def test_logits_do_not_depend_on_the_batch_size(network, digits):
    model = network("convnet", widths=[4, 6])
    images = digits.test.images[:70]
    expected = predict(model, images)
    assert expected.shape == (70, 10)
    for batch_size in (1, 7, 64, 1000):
        logits = predict(model, images, batch_size)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        assert torch.equal(logits.argmax(1), expected.argmax(1))


def test_pixels_and_floats_are_the_same(network, digits):
    model, images = network(), digits.test.images[:20]
    assert torch.equal(predict(model, images), predict(model, images.float() / 255))


@pytest.mark.parametrize("mode", [True, False])
def test_the_mode_is_put_back(network, digits, mode):
    model = network("convnet", widths=[4]).train(mode)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    predict(model, digits.test.images[:10])
    assert model.training is mode
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_dropout_sleeps_and_no_graph_is_kept():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 3))
    rows = torch.rand(8, 6)
    logits = predict(model, rows)
    assert torch.equal(logits, predict(model, rows))
    assert not logits.requires_grad


def test_a_network_without_parameters_will_do():
    rows = torch.rand(5, 4)
    assert torch.equal(predict(nn.Identity(), rows, 2), rows)


def test_other_types_are_refused(network):
    with pytest.raises(InputError, match="int64"):
        predict(network(), torch.zeros(2, 1, 32, 32, dtype=torch.int64))
