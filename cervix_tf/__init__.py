"""Stages for studies on cervical-cancer images: data, models, training, evaluation, export, report.

What is listed in `__all__` is imported when it is first used, so that `import cervix_tf` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cervix_tf.version import __version__ as __version__

if TYPE_CHECKING:
    from cervix_tf import layers, losses, models
    from cervix_tf.classifier import Classifier, load
    from cervix_tf.data.importers import load as import_dataset
    from cervix_tf.data.manifest import read as read_manifest
    from cervix_tf.errors import InputError

_HOMES = {
    "Classifier": ("cervix_tf.classifier", "Classifier"),
    "InputError": ("cervix_tf.errors", "InputError"),
    "import_dataset": ("cervix_tf.data.importers", "load"),
    "layers": ("cervix_tf.layers", ""),
    "load": ("cervix_tf.classifier", "load"),
    "losses": ("cervix_tf.losses", ""),
    "models": ("cervix_tf.models", ""),
    "read_manifest": ("cervix_tf.data.manifest", "read"),
}
"""Name -> module, and the name there; none = the module itself."""

__all__ = ["Classifier", "InputError", "import_dataset", "layers", "load", "losses", "models", "read_manifest"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, inner = _HOMES[name]
    found = importlib.import_module(module)
    return getattr(found, inner) if inner else found


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
