"""Compact a trained network and time it against the network as it was trained."""

from __future__ import annotations

__all__ = ["speed"]
