"""Push each test image until the network's answer changes."""

from __future__ import annotations

__all__ = ["attack"]
