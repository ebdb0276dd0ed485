"""Measured speed-up of compacted networks against the ratio of their operations.

LeNet-5 and a chain in the style of VGG with BatchNorm, 50 % and 75 % of the filters and hidden
neurons zero, batch 32, one thread; both against the dense network. `zeros` is the control: the
zeros left in place. Its convolutions take as long as dense ones; what it gains is max pooling over
constant maps, whose comparisons the processor predicts.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from robench.compaction import compact
from robench.measure import SpeedReport, measure_speed

BATCH = 32
REPEATS = 60
SHARES = (0.5, 0.75)
FILTERS = (32, 32, 64, 64, 128, 128)


def lenet_5() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10),
    )  # fmt: skip


def vgg() -> nn.Sequential:
    parts: list[nn.Module] = []
    inputs = 3
    for number, filters in enumerate(FILTERS):
        parts += [nn.Conv2d(inputs, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU()]
        parts += [nn.MaxPool2d(2)] if number % 2 else []
        inputs = filters
    head = [nn.Flatten(), nn.Linear(inputs * 16, 256), nn.ReLU(), nn.Linear(256, 10)]
    return nn.Sequential(*parts, *head)


def remove(model: nn.Module, share: float) -> nn.Module:
    """Zero the weights, biases and BatchNorm of a share of the units, but those of the logits."""
    model = copy.deepcopy(model)
    layers = [part for part in model.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    norms = [part for part in model.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        for part in (*layers[:-1], *norms):
            gone = round(share * len(part.weight))
            part.weight[:gone] = 0
            part.bias[:gone] = 0
    return model


def row(name: str, report: SpeedReport) -> str:
    (batch,) = report.batches
    ratio, speed_up = report.macs_ratio or 0.0, batch.speed_up
    return (
        f"{name:<14}{ratio:>8.2f}{speed_up.value:>10.2f}  [{speed_up.low:5.2f}, "
        f"{speed_up.high:5.2f}]{speed_up.value / ratio:>9.2f}{batch.original.median_ms:>11.3f}"
        f"{batch.compacted.median_ms:>11.3f}  {batch.status}"
    )


def main() -> None:
    generator = torch.Generator().manual_seed(0)
    networks: dict[str, tuple[nn.Module, Tensor]] = {
        "LeNet-5": (lenet_5().eval(), torch.rand(BATCH, 1, 28, 28, generator=generator)),
        "VGG": (vgg().eval(), torch.rand(BATCH, 3, 32, 32, generator=generator)),
    }
    print(f"{'network':<14}{'MACs x':>8}{'time x':>10}{'95 %':>12}{'time/MACs':>14}"
          f"{'dense ms':>10}{'small ms':>11}  status")  # fmt: skip
    for name, (dense, images) in networks.items():
        for share in SHARES:
            sparse = remove(dense, share)
            small = compact(sparse, images)
            for label, after in (("zeros", sparse), (f"{share:.0%} gone", small)):
                report = measure_speed(dense, after, images, batch_sizes=(BATCH,), repeats=REPEATS)
                print(row(f"{name} {label}", report), flush=True)


if __name__ == "__main__":
    main()
