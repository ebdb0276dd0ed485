"""Errors of AlexNet on ImageNet-C (Hendrycks and Dietterich 2019, arXiv 1903.12261, table 1)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ALEXNET_CLEAN_ERROR", "ALEXNET_ERRORS"]

ALEXNET_ERRORS: Mapping[str, float] = MappingProxyType(
    {
        "gaussian-noise": 0.886428,
        "shot-noise": 0.894468,
        "impulse-noise": 0.922640,
        "defocus-blur": 0.819880,
        "glass-blur": 0.826268,
        "motion-blur": 0.785948,
        "zoom-blur": 0.798360,
        "snow": 0.866816,
        "frost": 0.826572,
        "fog": 0.819324,
        "brightness": 0.564592,
        "contrast": 0.853204,
        "elastic-transform": 0.646056,
        "pixelate": 0.717840,
        "jpeg-compression": 0.606500,
    }
)
"""AlexNet's error on each kind of ImageNet-C, the mean over severities, as published."""

ALEXNET_CLEAN_ERROR = 1 - 0.56522
"""The error that torchvision states for its AlexNet on the clean validation set of ImageNet."""
