"""Feature extractors and classifiers by name: pixels in, each network's own normalization inside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from cervix_tf.errors import InputError
from cervix_tf.layers.fuse import fuse
from cervix_tf.models import (
    alexnet,
    googlenet,
    inception_resnet_v1,
    resnet,
    shufflenet_v2,
    t2t_vit,
    vgg,
    vision_transformer,
)
from cervix_tf.models import weights as first_weights
from cervix_tf.models.catalog import CONVERTIBLE, NAMES, NETWORKS, Network, Normalization

_BUILDERS: dict[str, Callable[..., keras.Model]] = {
    "alexnet": alexnet.alexnet,
    "botnet50": resnet.botnet50,
    "deit_tiny": vision_transformer.deit_tiny,
    "deit_tiny_distilled": vision_transformer.deit_tiny_distilled,
    "densenet121": keras.applications.DenseNet121,
    "densenet169": keras.applications.DenseNet169,
    "googlenet": googlenet.googlenet,
    "inception_resnet_v1": inception_resnet_v1.inception_resnet_v1,
    "inception_v3": keras.applications.InceptionV3,
    "mobilenet": keras.applications.MobileNet,
    "mobilenet_v2": keras.applications.MobileNetV2,
    "nasnet_mobile": keras.applications.NASNetMobile,
    "resnet10_narrow": resnet.resnet10_narrow,
    "resnet18": resnet.resnet18,
    "resnet34": resnet.resnet34,
    "resnet50": keras.applications.ResNet50,
    "resnet101": keras.applications.ResNet101,
    "resnext101_32x8d": resnet.resnext101_32x8d,
    "shufflenet_v2_x0_5": shufflenet_v2.shufflenet_v2_x0_5,
    "shufflenet_v2_x1_0": shufflenet_v2.shufflenet_v2_x1_0,
    "t2t_vit_14": t2t_vit.t2t_vit_14,
    "vgg11": vgg.vgg11,
    "vgg13": vgg.vgg13,
    "vgg16": keras.applications.VGG16,
    "vgg19": keras.applications.VGG19,
    "vit_b16": vision_transformer.vit_b16,
    "xception": keras.applications.Xception,
}
"""Name -> what builds it without its top; of Keras' own, with `weights` too."""

# Before the logits; AlexNet: before, VGG: after each of its two hidden layers. The rest have none.
_DROPOUT = {"googlenet": 0.2, "inception_v3": 0.5, "mobilenet_v2": 0.2, "xception": 0.5}


def check(name: str, height: int, width: int, *, weights: str = "imagenet", option: str = "--weights") -> None:
    """Raise the `InputError` that `backbone` would; where weights are random, without building the network."""
    _refuse(name, height, width, weights, option)
    if weights != "random":
        backbone(name, height, width, weights=weights, option=option)


def backbone(
    name: str,
    height: int,
    width: int,
    *,
    weights: str = "imagenet",
    momentum: float = 0.9,
    normalization: Normalization | None = None,
    option: str = "--weights",
) -> keras.Model:
    """The last feature maps of RGB pixels: (batch, height, width, 3) in [0, 255] -> (batch, h, w, maps).

    Of a transformer (DeiT, T2T-ViT, ViT) the class token instead: (batch, features).

    Inside: the normalization that the network's ImageNet weights were trained with, then
    the network without its top as one layer named `features`, where Grad-CAM cuts.

    Args:
        name: One of `cervix_tf.models.catalog.NAMES`.
        height: Pixels.
        width: Pixels.
        weights: `imagenet` (Keras' download), `random`, or a weights file of the network without its top.
        momentum: Of the batch normalizations' moving statistics; keras.applications' own 0.99 and 0.999
            are too slow for a few hundred steps.
        normalization: Of the pixels, instead of that of the network's ImageNet weights: for weights that start at
            random and networks that are compared.
        option: What sets the weights on a command line, for messages.

    Raises `InputError` for an unknown name, images too small for the network, and weights
    that cannot be had or do not fit.
    """
    chosen = _refuse(name, height, width, weights, option)

    def build(weights: str | None, **options: Any) -> keras.Model:
        return _BUILDERS[name](**options, **({"weights": weights} if chosen.file else {}))

    network = first_weights.build(
        build, weights, chosen.file, option=option, include_top=False, input_shape=(height, width, 3)
    )
    network = fuse(network, momentum=momentum)
    features = keras.Model(network.input, network.output, name="features")
    pixels = keras.Input((height, width, 3), name="pixels")
    normalized = _normalized(pixels, normalization or chosen.normalization)
    return keras.Model(pixels, features(normalized), name=name)


def classifier(
    name: str,
    classes: int,
    height: int,
    width: int,
    *,
    weights: str = "imagenet",
    momentum: float = 0.9,
    dropout: float | None = None,
    head_width: int = 4096,
    normalization: Normalization | None = None,
) -> keras.Model:
    """Logits of RGB pixels: (batch, height, width, 3) in [0, 255] -> (batch, classes), by the named network.

    `backbone` and the head that the architecture has: average pooling (transformers: the
    class token as it is) and one dense layer `logits`. Before that AlexNet and VGG have two
    hidden dense layers of `head_width`, InceptionResNetV1 FaceNet's bottleneck of 512.
    `dropout` None is the architecture's own: AlexNet 0.5 before each hidden layer
    (torchvision), VGG 0.5 after it (Simonyan and Zisserman 2015, sec. 3.1); after the pooling
    InceptionResNetV1 0.2 (FaceNet), GoogLeNet 0.2 (torchvision), MobileNetV2 0.2 (Keras and
    torchvision), Inception-v3 0.5 (torchvision), Xception 0.5 (Chollet 2017, sec. 4.4);
    elsewhere 0.

    Raises `InputError` as `backbone` does.

    Departs: the head starts at random, AlexNet's and VGG's hidden layers too, which the
    published networks pre-train: weight files without top do not hold them.
    """
    network = backbone(name, height, width, weights=weights, momentum=momentum, normalization=normalization)
    x = network.output
    if name == "alexnet" or name.startswith("vgg"):
        hidden = alexnet.fully_connected if name == "alexnet" else vgg.fully_connected
        x = hidden(x, head_width, 0.5 if dropout is None else dropout)
    elif name == "inception_resnet_v1":
        x = inception_resnet_v1.bottleneck(x, dropout=0.2 if dropout is None else dropout)
    else:
        if len(x.shape) == 4:
            x = layers.GlobalAveragePooling2D(name="average")(x)
        rate = _DROPOUT.get(name, 0.0) if dropout is None else dropout
        if rate:
            x = layers.Dropout(rate, name="dropout")(x)
    return keras.Model(network.input, layers.Dense(classes, dtype="float32", name="logits")(x), name=name)


def _refuse(name: str, height: int, width: int, weights: str, option: str) -> Network:
    """What `backbone` builds; raises `InputError` for what can be known before."""
    if name not in NETWORKS:
        raise InputError(f"backbone {name!r}: unknown; give one of {', '.join(NAMES)}")
    chosen = NETWORKS[name]
    if min(height, width) < chosen.smallest:
        raise InputError(
            f"{name} cannot take {height} x {width} pixels; its shorter side is at least {chosen.smallest}"
        )
    if weights == "imagenet" and not chosen.file:
        raise InputError(
            f"{option} imagenet: Keras has none for {name}; give a weights file"
            + (" that `python -m cervix_tf.models convert` made of a checkpoint" if name in CONVERTIBLE else "")
            + f", or {option} random"
        )
    return chosen


def _normalized(pixels: keras.KerasTensor, normalization: Normalization) -> keras.KerasTensor:
    """What `keras.applications.imagenet_utils.preprocess_input` makes of pixels in that mode.

    facenet: `fixed_image_standardization` of facenet-pytorch.
    """
    if normalization == "tf":
        scale, offset = [1 / 127.5] * 3, [-1.0] * 3
    elif normalization == "torch":
        mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        scale, offset = [1 / (255 * s) for s in std], [-m / s for m, s in zip(mean, std, strict=True)]
    elif normalization == "facenet":
        scale, offset = [1 / 128] * 3, [-127.5 / 128] * 3
    else:
        scale, offset = [1.0] * 3, [-123.68, -116.779, -103.939]
    # In float32 under a mixed-precision policy too: 16 bits cannot hold what lies between 254 and 255.
    x = layers.Rescaling(scale, offset, dtype="float32", name="normalization")(pixels)
    return keras.ops.flip(x, axis=-1) if normalization == "caffe" else x  # those weights want BGR
