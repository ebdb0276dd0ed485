"""Weights and masks on disk: one safetensors file, whole or not there, and checked when read.

    weight/NAME    a tensor of the network's state
    mask/NAME      a mask, eight weights a byte

The header says what the file is, the shapes of the masks, the metadata, and the SHA-256 of the
content. Nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from robench.errors import CheckpointError, InputError, StoreError
from robench.files import write_atomically
from robench.spec.identity import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from pydantic import JsonValue
    from torch import Tensor, nn

__all__ = ["Checkpoint"]

_FORMAT = "robench-checkpoint-1"
_AGAIN = "run the suite again: the network is trained anew where it is needed"


@dataclass(frozen=True)
class Checkpoint:
    """A trained network's weights and masks, on the CPU.

    Args:
        weights: the network's state, by name: parameters and buffers.
        masks: true where a prunable weight survives, by the name of the weight.
        metadata: whatever else is worth keeping, as JSON.
    """

    weights: Mapping[str, Tensor]
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    metadata: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        masks: Mapping[str, Tensor] | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> Checkpoint:
        """A copy of what a network is now."""
        return cls(_copies(model.state_dict()), _copies(masks or {}), dict(metadata or {}))

    def apply_to(self, model: nn.Module) -> None:
        """Give a network of the same architecture these weights, zeros in place.

        Raises:
            InputError: the network's tensors have other names or shapes; names the first.
        """
        own = model.state_dict()
        for name in sorted(own.keys() ^ self.weights.keys()):
            holder = "network" if name in own else "checkpoint"
            raise InputError(
                f"only the {holder} has a tensor {name!r}",
                hint="build the network that the checkpoint was made of",
            )
        for name, tensor in self.weights.items():
            if own[name].shape != tensor.shape:
                raise InputError(
                    f"{name!r} is {tuple(tensor.shape)} in the checkpoint and "
                    f"{tuple(own[name].shape)} in the network",
                    hint="build the network that the checkpoint was made of",
                )
        model.load_state_dict(dict(self.weights))

    @property
    def sha256(self) -> str:
        """Hexadecimal hash of the content: names, types, shapes and bytes, masks and metadata."""
        return _content_hash(self._tensors(), self._header())

    def save(self, path: Path) -> str:
        """Write the checkpoint, whole or not at all; gives the hash of its content.

        Raises:
            StoreError: it cannot be written.
        """
        tensors, header = self._tensors(), self._header()
        sha256 = _content_hash(tensors, header)
        content = save(tensors, {**header, "sha256": sha256})
        try:
            write_atomically(path, content)
        except OSError as error:
            raise StoreError(
                f"the checkpoint cannot be written: {error.strerror}",
                where=str(path),
                hint="make room or mend the rights, and run the suite again: it goes on from here",
            ) from error
        return sha256

    @classmethod
    def load(cls, path: Path) -> Checkpoint:
        """Read a checkpoint, and check that it is what was written.

        Raises:
            CheckpointError: it is missing, cut short, changed, or no checkpoint of robench.
        """
        header, tensors = _opened(path, with_tensors=True)
        expected = header.pop("sha256", "")
        if _content_hash(tensors, header) != expected:
            raise CheckpointError(
                "the checkpoint is damaged: its content is not what was written",
                where=str(path),
                hint=_AGAIN,
            )
        shapes = json.loads(header["mask_shapes"])
        return cls(
            weights=_under("weight/", tensors),
            masks={
                name: _unpacked(packed, shapes[name])
                for name, packed in _under("mask/", tensors).items()
            },
            metadata=json.loads(header["metadata"]),
        )

    @classmethod
    def hash_in(cls, path: Path) -> str:
        """The hash that the file says its content has; the content itself is not read.

        Raises:
            CheckpointError: it is missing, cut short, or no checkpoint of robench.
        """
        return _opened(path, with_tensors=False)[0].get("sha256", "")

    def _tensors(self) -> dict[str, Tensor]:
        packed = {
            f"mask/{name}": torch.from_numpy(np.packbits(mask.numpy()))
            for name, mask in self.masks.items()
        }
        return {**{f"weight/{name}": tensor for name, tensor in self.weights.items()}, **packed}

    def _header(self) -> dict[str, str]:
        shapes = {name: list(mask.shape) for name, mask in self.masks.items()}
        return {
            "format": _FORMAT,
            "mask_shapes": canonical_json(shapes),
            "metadata": canonical_json(dict(self.metadata)),
        }


def _opened(path: Path, *, with_tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Header and tensors of a file, whose length is what its header says."""
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (OSError, SafetensorError) as error:
        is_missing = isinstance(error, FileNotFoundError)
        problem = "is not there" if is_missing else f"is damaged: {error}"
        raise CheckpointError(f"the checkpoint {problem}", where=str(path), hint=_AGAIN) from error
    if header.get("format") != _FORMAT:
        raise CheckpointError(
            f"this is no checkpoint of robench (format {header.get('format')!r})",
            where=str(path),
            allowed=_FORMAT,
        )
    return header, tensors


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _unpacked(packed: Tensor, shape: list[int]) -> Tensor:
    bits = np.unpackbits(packed.numpy(), count=math.prod(shape))
    return torch.from_numpy(bits.astype(np.bool_)).reshape(shape)


def _content_hash(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    digest = hashlib.sha256(canonical_json(dict(header)).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(canonical_json([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
