"""What a paper prints as its results, as data: the `published.yaml` of a study."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any


def read(module: str) -> SimpleNamespace:
    """The paper's tables and figures from `published.yaml` beside a study's module (`__file__`), an attribute each.

    Lists become tuples.
    """
    import yaml

    content = yaml.safe_load(Path(module).with_name("published.yaml").read_text(encoding="utf-8"))
    return SimpleNamespace(**{name: _frozen(table) for name, table in content.items()})


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(each) for key, each in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
