"""AlexNet's five convolutions as Wen et al. 2016 made them sparse and timed them.

Figures of Table 4 of "Learning Structured Sparsity in Deep Neural Networks" (Wen et al. 2016, arXiv
1608.03665), from the authors' published slides: sparsities in percent, and how many times faster a
layer was, on one thread of a Xeon E5-2630 and on a TITAN Black. Their speed-ups count the matrix
product alone, not the lowering of the images into a matrix. Row 3, which quotes others, has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["CONVOLUTIONS", "ENTRIES", "Convolution", "Entry"]


@dataclass(frozen=True)
class Convolution:
    """One convolution of AlexNet as Caffe has it, for images of 227 pixels.

    Attributes:
        name: ``conv1`` … ``conv5``.
        filters: output channels.
        channels: input channels, of all groups together.
        kernel_px: height and width of the kernel.
        maps_px: height and width of the maps that it reads.
        stride: in pixels.
        padding: in pixels.
        groups: into how many convolutions it falls.
    """

    name: str
    filters: int
    channels: int
    kernel_px: int
    maps_px: int
    stride: int = 1
    padding: int = 0
    groups: int = 1


CONVOLUTIONS = (
    Convolution("conv1", 96, 3, 11, 227, stride=4),
    Convolution("conv2", 256, 96, 5, 27, padding=2, groups=2),
    Convolution("conv3", 384, 256, 3, 13, padding=1),
    Convolution("conv4", 384, 384, 3, 13, padding=1, groups=2),
    Convolution("conv5", 256, 384, 3, 13, padding=1, groups=2),
)

_Five = tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Entry:
    """One row of the table.

    Attributes:
        row: its number in the paper.
        method: ``l1``: single weights are zero; ``ssl``: whole rows and columns.
        top1_error: of the network, in percent; the dense one had 42.63.
        sparsity: percent of zero weights of each layer, for ``l1``.
        columns: percent of zero columns of each layer, for ``ssl``.
        rows: percent of zero rows of each layer, for ``ssl``.
        speedup_cpu: times faster on the CPU.
        speedup_gpu: times faster on the GPU.
    """

    row: int
    method: Literal["l1", "ssl"]
    top1_error: float
    speedup_cpu: _Five
    speedup_gpu: _Five
    sparsity: _Five = (0.0, 0.0, 0.0, 0.0, 0.0)
    columns: _Five = (0.0, 0.0, 0.0, 0.0, 0.0)
    rows: _Five = (0.0, 0.0, 0.0, 0.0, 0.0)

    def zeros(self, place: int) -> float:
        """The share of the weights of a layer, by its place 0 … 4, that are zero; in [0, 1)."""
        shares = (self.sparsity[place], self.columns[place], self.rows[place])
        return round(1 - math.prod(1 - percent / 100 for percent in shares), 4)


ENTRIES = (
    Entry(
        row=1,
        method="l1",
        top1_error=44.67,
        sparsity=(67.6, 92.4, 97.2, 96.6, 94.3),
        speedup_cpu=(0.80, 2.91, 4.84, 3.83, 2.76),
        speedup_gpu=(0.25, 0.52, 1.38, 1.04, 1.36),
    ),
    Entry(
        row=2,
        method="ssl",
        top1_error=44.66,
        columns=(0.0, 63.2, 76.9, 84.7, 80.7),
        rows=(9.4, 12.9, 40.6, 46.9, 0.0),
        speedup_cpu=(1.05, 3.37, 6.27, 9.73, 4.93),
        speedup_gpu=(1.00, 2.37, 4.94, 4.03, 3.05),
    ),
    Entry(
        row=4,
        method="l1",
        top1_error=42.51,
        sparsity=(14.7, 76.2, 85.3, 81.5, 76.3),
        speedup_cpu=(0.34, 0.99, 1.30, 1.10, 0.93),
        speedup_gpu=(0.08, 0.17, 0.42, 0.30, 0.32),
    ),
    Entry(
        row=5,
        method="ssl",
        top1_error=42.53,
        columns=(0.0, 20.9, 39.7, 39.7, 24.6),
        speedup_cpu=(1.00, 1.27, 1.64, 1.68, 1.32),
        speedup_gpu=(1.00, 1.25, 1.63, 1.72, 1.36),
    ),
)
