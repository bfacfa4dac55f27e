"""ResNet, ResNeXt and BoTNet; the first two as torchvision defines them, so that its checkpoints fit."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from cervix_tf.layers.relative_attention import RelativeAttention
from cervix_tf.models.convolution import convolution, normalization


def resnet18(**options: Any) -> keras.Model:
    """ResNet-18, 11,689,512 trainable weights with 1000 classes. Source: He et al. 2016, Table 1."""
    return resnet((2, 2, 2, 2), bottleneck=False, name="resnet18", **options)


def resnet34(**options: Any) -> keras.Model:
    """ResNet-34, 21,797,672 trainable weights with 1000 classes. Source: He et al. 2016, Table 1."""
    return resnet((3, 4, 6, 3), bottleneck=False, name="resnet34", **options)


def resnet10_narrow(**options: Any) -> keras.Model:
    """ResNet-10 with a quarter of the maps, 0.3 million weights without top: for small images and small machines."""
    return resnet((1, 1, 1, 1), bottleneck=False, width=16, name="resnet10_narrow", **options)


def resnext101_32x8d(**options: Any) -> keras.Model:
    """ResNeXt-101 32x8d, 88,791,336 trainable weights with 1000 classes. Source: Xie et al. 2017, Table 1."""
    return resnet((3, 4, 23, 3), bottleneck=True, groups=32, group_width=8, name="resnext101_32x8d", **options)


def botnet50(**options: Any) -> keras.Model:
    """BoTNet-50, 20,852,008 weights with 1000 classes at 224 x 224: ResNet-50 with attention in its last stage.

    Source: Srinivas et al. 2021, Table 1 and sec. 3; 4 heads. PaddleViT has 20.9 M too. ResNet-50 has
    25,557,032; three 3x3 convolutions of 2,359,296 become queries, keys and values of 786,432
    and relative positions of 6,912, 3,328 and 3,328.
    """
    return resnet((3, 4, 6, 3), bottleneck=True, heads=4, name="botnet50", **options)


def resnet(
    blocks: tuple[int, ...],
    *,
    bottleneck: bool,
    groups: int = 1,
    group_width: int = 64,
    width: int = 64,
    heads: int = 0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    include_top: bool = True,
    classes: int = 1000,
    name: str = "resnet",
) -> keras.Model:
    """Residual network: normalized images -> logits (batch, classes), or feature maps without top.

    The maps are (batch, height / 32, width / 32, 8 x `width`), with `bottleneck` 32 x, each side rounded up.

    Args:
        blocks: Residual blocks in each stage; every stage but the first halves the size.
        bottleneck: 1x1, 3x3, 1x1 convolutions a block with four times as many maps out, else two 3x3.
        groups: Groups of the bottleneck's 3x3 convolution; more than one makes it a ResNeXt.
        group_width: Maps a group in the first stage; doubles with every stage.
        width: Maps of the first stage; doubles with every stage.
        heads: Of the self-attention that replaces the 3x3 convolutions of the last stage; 0 keeps them.
            Where it halves the size, 2x2 average pooling follows it.
        input_shape: Height, width and channels.
        include_top: Average pooling and one dense layer follow.
        classes: Logits.
        name: Of the model.

    Source: He et al. 2016; Xie et al. 2017, Fig. 3c. Layers are named as in torchvision's
    `models.resnet`, whose strides (in the 3x3 convolution), padding, epsilon and momentum these are.
    """

    def attention(x: keras.KerasTensor, maps: int, stride: int, layer: str) -> keras.KerasTensor:
        x = convolution(x, 3 * maps, 1, 1, f"{layer}.qkv")
        x = RelativeAttention(heads, name=layer)(x)
        return layers.AveragePooling2D(2, padding="same", name=f"{layer}.pool")(x) if stride > 1 else x

    def block(x: keras.KerasTensor, maps: int, stride: int, layer: str, attended: bool) -> keras.KerasTensor:
        inner = maps * group_width * groups // 64
        if bottleneck:
            steps = [(inner, 1, 1, 1), (inner, 3, stride, groups), (4 * maps, 1, 1, 1)]
        else:
            steps = [(maps, 3, stride, 1), (maps, 3, 1, 1)]
        shortcut = x
        for number, (filters, size, step, parts) in enumerate(steps, start=1):
            if number > 1:
                x = layers.ReLU(name=f"{layer}.relu{number - 1}")(x)
            if attended and size > 1:
                x = attention(x, filters, step, f"{layer}.conv{number}")
            else:
                x = convolution(x, filters, size, step, f"{layer}.conv{number}", parts)
            x = normalization(x, f"{layer}.bn{number}")
        if shortcut.shape != x.shape:
            shortcut = convolution(shortcut, x.shape[-1], 1, stride, f"{layer}.downsample.0")
            shortcut = normalization(shortcut, f"{layer}.downsample.1")
        return layers.ReLU(name=f"{layer}.relu{len(steps)}")(layers.Add(name=f"{layer}.add")([x, shortcut]))

    images = keras.Input(input_shape, name="images")
    x = normalization(convolution(images, width, 7, 2, "conv1"), "bn1")
    x = layers.ZeroPadding2D(1, name="maxpool.padding")(layers.ReLU(name="relu")(x))
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    for stage, count in enumerate(blocks):
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            attended = heads > 0 and stage == len(blocks) - 1
            x = block(x, width * 2**stage, stride, f"layer{stage + 1}.{index}", attended)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="avgpool")(x)
        x = layers.Dense(classes, name="fc")(x)
    return keras.Model(images, x, name=name)
