"""Compressed sparse rows against dense kernels: linear layers by share of zeros and batch.

Zeros at random places, as magnitude pruning leaves them; one thread, times of the thread, median of
the ratios of interleaved blocks. Below 1 the sparse kernel is the slower one.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from robench.deploy.sparse_forms import CsrLinear
from robench.measure import sample_latency
from robench.measure.latency import Stopwatch

SHAPES = ((784, 300), (800, 500), (128, 64))
SHARES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
BATCHES = (1, 64)
THREAD_TIME = Stopwatch(clock=time.thread_time)


def ratio(inputs: int, outputs: int, share: float, batch: int) -> str:
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(inputs, outputs).eval()
    rows = torch.rand(batch, inputs, generator=generator)
    dead = torch.randperm(inputs * outputs, generator=generator)[: round(share * inputs * outputs)]
    with torch.inference_mode():
        linear.weight.view(-1)[dead] = 0
        kernel = CsrLinear(linear)
        torch.testing.assert_close(kernel(rows), linear(rows), rtol=1e-4, atol=1e-5)
        calls = {"dense": lambda: linear(rows), "csr": lambda: kernel(rows)}
        sample = sample_latency(calls, stopwatch=THREAD_TIME)
    return f"{sample.speed_up('dense', 'csr').value:.2f}{' noisy' * (sample.status == 'noisy')}"


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'layer':<14}{'batch':>6}" + "".join(f"{f'{share:.0%} zeros':>12}" for share in SHARES))
    for inputs, outputs in SHAPES:
        for batch in BATCHES:
            found = "".join(f"{ratio(inputs, outputs, share, batch):>12}" for share in SHARES)
            print(f"{f'{inputs} → {outputs}':<14}{batch:>6}{found}", flush=True)


if __name__ == "__main__":
    main()
