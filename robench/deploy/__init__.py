"""How a network is executed: forms of layers, inference forms, kernels and the autotuner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.deploy.inference import inference_form
    from robench.deploy.inference_module import InferenceForm
    from robench.deploy.inference_storage import load_inference_form, save_inference_form
    from robench.deploy.sparse_forms import csr_form, two_of_four_form

__all__ = [
    "InferenceForm",
    "csr_form",
    "inference_form",
    "load_inference_form",
    "save_inference_form",
    "two_of_four_form",
]

__getattr__ = lazily(
    __name__,
    {
        "InferenceForm": "robench.deploy.inference_module",
        "csr_form": "robench.deploy.sparse_forms",
        "inference_form": "robench.deploy.inference",
        "load_inference_form": "robench.deploy.inference_storage",
        "save_inference_form": "robench.deploy.inference_storage",
        "two_of_four_form": "robench.deploy.sparse_forms",
    },
)
