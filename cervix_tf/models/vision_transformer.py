"""Vision transformers as timm defines them, so that its checkpoints fit layer by layer."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cervix_tf.layers.self_attention import SelfAttention
from cervix_tf.layers.token_embedding import TokenEmbedding


def vit_b16(**options: Any) -> keras.Model:
    """ViT-B/16, 86,567,656 weights with 1000 classes at 224 x 224. Source: Dosovitskiy et al. 2021, Table 1."""
    return vision_transformer(width=768, heads=12, name="vit_b16", **options)


def deit_tiny(**options: Any) -> keras.Model:
    """DeiT-Ti without distillation token, 5,717,416 weights with 1000 classes at 224 x 224.

    Source: Touvron et al. 2021, Table 1.
    """
    return vision_transformer(width=192, heads=3, name="deit_tiny", **options)


def deit_tiny_distilled(**options: Any) -> keras.Model:
    """DeiT-Ti with its distillation token, 5,910,800 weights with 1000 classes at 224 x 224.

    The features are the mean of class and distillation token, as timm's `pre_logits` are; the logits the mean of both
    tokens' heads. Source: Touvron et al. 2021, sec. 3.
    """
    return vision_transformer(width=192, heads=3, distilled=True, name="deit_tiny_distilled", **options)


def vision_transformer(
    *,
    width: int,
    heads: int,
    depth: int = 12,
    patch: int = 16,
    distilled: bool = False,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    include_top: bool = True,
    classes: int = 1000,
    name: str = "vision_transformer",
) -> keras.Model:
    """Vision transformer: normalized images -> logits (batch, classes), or without top the class token, (batch, width).

    Args:
        width: Of a token.
        heads: Of every attention.
        depth: Encoder blocks.
        patch: Pixels a side of the patch that makes a token; what is left at the right and bottom is not seen.
        distilled: A second learned token has a head of its own; both are averaged.
        input_shape: Height, width and channels; there is one learned position for every patch.
        include_top: One dense layer follows.
        classes: Logits.
        name: Of the model.

    Source: Dosovitskiy et al. 2021, eq. 1 to 4. Layers are named as in timm's
    `vision_transformer`, whose epsilon and initial weights these are.
    """
    images = keras.Input(input_shape, name="images")
    x = layers.Conv2D(width, patch, strides=patch, kernel_initializer=narrow(), name="patch_embed.proj")(images)
    x = layers.Reshape((x.shape[1] * x.shape[2], width), name="patch_embed.tokens")(x)
    learned = 2 if distilled else 1
    x = encoder(TokenEmbedding(distilled=distilled, name="embedding")(x), depth, heads, learned=learned)
    if distilled:
        each = []
        for at, head in enumerate(("head", "head_dist")):
            token = layers.Cropping1D((at, 1 - at), name=f"{head}.token")(x)
            token = layers.Flatten(name=f"{head}.flat")(token)
            each.append(dense(token, classes, head) if include_top else token)
        x = layers.Average(name="averaged")(each)
    elif include_top:
        x = dense(x, classes, "head")
    return keras.Model(images, x, name=name)


def encoder(
    x: keras.KerasTensor,
    depth: int,
    heads: int,
    ratio: int = 4,
    *,
    bias: bool = True,
    epsilon: float = 1e-6,
    learned: int = 1,
) -> keras.KerasTensor:
    """The normalized class token after `depth` blocks: (batch, 1 + n, width) -> (batch, width).

    With more than one `learned` token before the image's all of those: (batch, learned, width).

    `ratio` is the hidden width of a block's dense layers in widths of a token; `bias` is that of queries, keys and
    values. Source: Dosovitskiy et al. 2021, eq. 2 to 4.
    """
    width = x.shape[-1]

    def norm(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.LayerNormalization(epsilon=epsilon, name=name)(x)

    for block in (f"blocks.{index}" for index in range(depth)):
        y = dense(norm(x, f"{block}.norm1"), 3 * width, f"{block}.attn.qkv", use_bias=bias)
        y = dense(SelfAttention(heads, name=f"{block}.attn")(y), width, f"{block}.attn.proj")
        x = layers.Add(name=f"{block}.attended")([x, y])
        y = dense(norm(x, f"{block}.norm2"), ratio * width, f"{block}.mlp.fc1", activation="gelu")
        x = layers.Add(name=f"{block}.add")([x, dense(y, width, f"{block}.mlp.fc2")])
    first = layers.Cropping1D((0, x.shape[1] - learned), name="class_token")(x)
    return norm(layers.Flatten(name="flat")(first) if learned == 1 else first, "norm")


def dense(x: keras.KerasTensor, units: int, name: str, **options: Any) -> keras.KerasTensor:
    """A dense layer with a transformer's initial weights."""
    return layers.Dense(units, kernel_initializer=narrow(), name=name, **options)(x)


def narrow() -> keras.initializers.Initializer:
    """Normal initial weights of deviation 0.02, a new one each time."""
    return keras.initializers.RandomNormal(stddev=0.02)
