"""Networks by name: `create("mobilenet_v2", classes=4)`; Keras is imported when the first one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def create(
    name: str,
    classes: int | None = None,
    height: int = 224,
    width: int = 224,
    *,
    weights: str = "random",
    **options: Any,
) -> keras.Model:
    """The named network: (batch, height, width, 3) RGB pixels in [0, 255] -> (batch, classes) logits.

    Without `classes` the last feature maps, (batch, h, w, maps), of a transformer the class token, (batch, features).
    `weights` is `random`, `imagenet` or a weights file; `options` are those of
    `cervix_tf.models.backbones.classifier`, without `classes` those of `backbone`.

    Raises `InputError` for an unknown name, images too small for the network, and weights that do not fit.
    """
    from cervix_tf.models import backbones

    if classes is None:
        return backbones.backbone(name, height, width, weights=weights, **options)
    return backbones.classifier(name, classes, height, width, weights=weights, **options)


def list_models() -> tuple[str, ...]:
    """The names that `create` knows."""
    from cervix_tf.models import catalog

    return catalog.NAMES
