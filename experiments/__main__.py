"""`python -m experiments`: the papers and how to run them."""

from __future__ import annotations

import importlib
import pkgutil

import experiments


def main() -> None:
    """Print one line a paper."""
    for paper in sorted(module.name for module in pkgutil.iter_modules(experiments.__path__) if module.ispkg):
        citation = (importlib.import_module(f"experiments.{paper}").__doc__ or "").strip()
        print(f"python -m experiments.{paper}\n    {citation}")


if __name__ == "__main__":
    main()
