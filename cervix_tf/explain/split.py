"""A Keras model in two parts, cut at layers named by the caller."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras


def split(
    model: keras.Model, layers: str | keras.Layer | Sequence[str | keras.Layer], images: Any
) -> tuple[Callable[[Any], Any], Any]:
    """(head, feature maps) of the model's run on `images`, as Grad-CAM takes them.

    The maps are what the layers give, one stack or a list as `layers` is. The head runs
    the model on `images` with other maps in their place, without running those layers
    again, and gives what the model gives: it should be logits. Layers may be anywhere
    inside the model, whole trunks included; a name is that of the outermost layer that
    has it. It must not run in two threads at once.

    Raises ValueError for a name that the model has not, or twice as far out, and for a layer that it does
    not call once.
    """
    one = isinstance(layers, str | keras.Layer)
    names = [layers] if isinstance(layers, str | keras.Layer) else list(layers)
    cuts = [_find(model, name) if isinstance(name, str) else name for name in names]

    outputs: list[list[Any]] = [[] for _ in cuts]
    with contextlib.ExitStack() as stack:
        for layer, seen in zip(cuts, outputs, strict=True):
            stack.enter_context(_recorded(layer, seen))
        model(images, training=False)
    for layer, seen in zip(cuts, outputs, strict=True):
        if len(seen) != 1:
            raise ValueError(f"layer {layer.name!r} is called {len(seen)} times in {model.name!r}, not once")

    def head(maps: Any) -> Any:
        with contextlib.ExitStack() as stack:
            for layer, given in zip(cuts, [maps] if one else maps, strict=True):
                stack.enter_context(_calling(layer, lambda *_, given=given, **__: given))
            return model(images, training=False)

    stacks = [seen[0] for seen in outputs]
    return head, stacks[0] if one else stacks


def _find(model: keras.Model, name: str) -> keras.Layer:
    found: dict[int, keras.Layer] = {}
    level: list[keras.Layer] = [model]
    while level and not found:
        found = {id(layer): layer for layer in level if layer.name == name}
        level = [inner for layer in level for inner in getattr(layer, "layers", ())]
    if len(found) != 1:
        have = ", ".join(layer.name for layer in model.layers)
        raise ValueError(f"{len(found)} layers of {model.name!r} are named {name!r}; it has {have}")
    return next(iter(found.values()))


@contextlib.contextmanager
def _calling(layer: keras.Layer, call: Callable[..., Any]) -> Iterator[None]:
    """Within the block, the layer gives what `call` gives."""
    layer.call = call  # on the instance, before the class's method
    try:
        yield
    finally:
        del layer.call


def _recorded(layer: keras.Layer, seen: list[Any]) -> contextlib.AbstractContextManager[None]:
    """Within the block, what the layer gives is kept in `seen`."""
    original = layer.call

    def call(*args: Any, **kwargs: Any) -> Any:
        seen.append(original(*args, **kwargs))
        return seen[-1]

    return _calling(layer, call)
