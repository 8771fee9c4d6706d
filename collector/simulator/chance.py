"""Numbers that look random and never change: every choice of the stand-in is a hash of what it is about."""

from __future__ import annotations

from hashlib import blake2b

_SCALE = 2.0**-64


def chance(*parts: object) -> float:
    """A number from 0 up to, without, 1, that the parts alone decide."""
    text = "\x1f".join(map(str, parts))
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") * _SCALE
