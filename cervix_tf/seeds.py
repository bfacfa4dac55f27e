"""Seeds that depend on what they are for, not on what was drawn before."""

from __future__ import annotations

import zlib


def seed_of(seed: int, *purpose: str | int) -> int:
    """A seed in [0, 2**31) for one purpose, e.g. `seed_of(seed, client, round)`; it depends on nothing else."""
    return (seed * 1_000_003 + zlib.crc32("/".join(map(str, purpose)).encode())) % 2**31
