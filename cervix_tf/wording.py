"""How many of something, in words."""


def amount(count: int, one: str, several: str = "") -> str:
    """`1 image`, `2 images`, `1,000 images`; `several` is the plural where that is not `one` with an s."""
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
