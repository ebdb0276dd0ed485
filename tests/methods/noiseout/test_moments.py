"""Means and covariances of activations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from robench.methods.noiseout.moments import Moments, constants, correlations, mean_strongest
from tests.methods.noiseout.merging import drawn


class TestMoments:
    @pytest.mark.parametrize("sizes", [(200,), (50, 150), (1, 99, 100)])
    def test_batches_add_up_to_what_numpy_says_of_all(self, sizes):
        values = drawn(200, 7, 3) * 4 + 100
        moments = Moments(7)
        for batch in torch.split(values, sizes):
            moments.add(batch)
        observations = values.movedim(1, 0).flatten(1).numpy()
        np.testing.assert_allclose(moments.mean, observations.mean(1), rtol=1e-12)
        np.testing.assert_allclose(moments.covariance, np.cov(observations, bias=True), rtol=1e-9)
        expected = np.corrcoef(observations)
        np.fill_diagonal(expected, 0)
        np.testing.assert_allclose(correlations(moments), expected, atol=1e-12)

    def test_about_the_origin_they_are_second_moments(self):
        values = drawn(40, 3, 1) + 1
        moments = Moments(3, centred=False)
        for batch in torch.split(values, 15):
            moments.add(batch)
        seen = values.squeeze(2)
        np.testing.assert_allclose(moments.covariance, (seen.T @ seen / 40).numpy(), rtol=1e-12)
        assert not moments.mean.any()

    def test_constants_correlate_with_nothing(self):
        values = drawn(50, 3, 1)
        values[:, 1] = 0.7
        moments = Moments(3)
        moments.add(values)
        assert constants(moments).tolist() == [False, True, False]
        rho = correlations(moments)
        assert not rho[1].any()
        assert not rho[:, 1].any()
        assert mean_strongest(moments) == pytest.approx(abs(rho[0, 2]))

    def test_correlation_is_symmetric_and_none_is_with_itself(self):
        moments = Moments(20)
        moments.add(drawn(60, 20, 1))
        rho = correlations(moments)
        np.testing.assert_allclose(rho, rho.T, rtol=1e-12)
        assert not rho.diagonal().any()
        assert np.abs(rho).max() <= 1

    def test_one_unit_alone_has_no_correlation(self):
        moments = Moments(1)
        moments.add(drawn(9, 1, 1))
        assert mean_strongest(moments) is None
