"""Zeros in, a physically smaller network out, proven to compute the same function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robench._lazy import lazily

if TYPE_CHECKING:
    from robench.compaction.compactor import compact
    from robench.compaction.inference import inference_form
    from robench.compaction.inference_module import InferenceForm
    from robench.compaction.inference_storage import load_inference_form, save_inference_form
    from robench.compaction.report import CompactionReport, LayerReport, report_of
    from robench.compaction.sparse_kernels import csr_form, two_of_four_form
    from robench.compaction.storage import load, save

__all__ = [
    "CompactionReport",
    "InferenceForm",
    "LayerReport",
    "compact",
    "csr_form",
    "inference_form",
    "load",
    "load_inference_form",
    "report_of",
    "save",
    "save_inference_form",
    "two_of_four_form",
]

__getattr__ = lazily(
    __name__,
    {
        "CompactionReport": "robench.compaction.report",
        "InferenceForm": "robench.compaction.inference_module",
        "LayerReport": "robench.compaction.report",
        "compact": "robench.compaction.compactor",
        "csr_form": "robench.compaction.sparse_kernels",
        "inference_form": "robench.compaction.inference",
        "load": "robench.compaction.storage",
        "load_inference_form": "robench.compaction.inference_storage",
        "report_of": "robench.compaction.report",
        "save": "robench.compaction.storage",
        "save_inference_form": "robench.compaction.inference_storage",
        "two_of_four_form": "robench.compaction.sparse_kernels",
    },
)
