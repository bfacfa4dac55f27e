"""Which networks there are, and what is known of each without building it; nothing here needs Keras.

Networks written in this project are compared with PyTorch's in the tests; the others are `keras.applications` itself.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Normalization = Literal["caffe", "facenet", "torch", "tf"]


class Network(NamedTuple):
    """A network by what its users have to know."""

    normalization: Normalization
    """What its published weights were trained with."""
    file: str = ""
    """Keras' own download without top; "" where Keras has none."""
    smallest: int = 32
    """Pixels of the shorter side that it can take."""


_ORDER = "weights_tf_dim_ordering_tf_kernels"

NETWORKS = {
    "alexnet": Network("torch", smallest=63),
    "botnet50": Network("torch", smallest=33),  # one place alone has nothing to attend to
    "deit_tiny": Network("torch", smallest=16),
    "deit_tiny_distilled": Network("torch", smallest=16),
    "densenet121": Network("torch", f"densenet121_{_ORDER}_notop.h5"),
    "densenet169": Network("torch", f"densenet169_{_ORDER}_notop.h5"),
    "googlenet": Network("tf", smallest=15),  # torchvision's `transform_input` makes it that
    "inception_resnet_v1": Network("facenet", smallest=75),
    "inception_v3": Network("tf", f"inception_v3_{_ORDER}_notop.h5", 75),
    "mobilenet": Network("tf", "mobilenet_1_0_224_tf_no_top.h5"),
    "mobilenet_v2": Network("tf", f"mobilenet_v2_{_ORDER}_1.0_224_no_top.h5"),
    "nasnet_mobile": Network("tf", "nasnet_mobile_no_top.h5"),
    "resnet10_narrow": Network("torch"),
    "resnet18": Network("torch"),
    "resnet34": Network("torch"),
    "resnet50": Network("caffe", f"resnet50_{_ORDER}_notop.h5"),
    "resnet101": Network("caffe", f"resnet101_{_ORDER}_notop.h5"),
    "resnext101_32x8d": Network("torch"),
    "shufflenet_v2_x0_5": Network("torch"),
    "shufflenet_v2_x1_0": Network("torch"),
    "t2t_vit_14": Network("torch", smallest=16),
    "vgg11": Network("torch"),
    "vgg13": Network("torch"),
    "vgg16": Network("caffe", f"vgg16_{_ORDER}_notop.h5"),
    "vgg19": Network("caffe", f"vgg19_{_ORDER}_notop.h5"),
    "vit_b16": Network("tf", smallest=16),
    "xception": Network("tf", f"xception_{_ORDER}_notop.h5", 71),
}
NAMES = tuple(NETWORKS)
OFFERED = tuple(name for name, made in NETWORKS.items() if made.file)
"""Networks that Keras has ImageNet weights of."""
CONVERTIBLE = tuple(
    name for name, made in NETWORKS.items() if not made.file and name not in ("botnet50", "resnet10_narrow")
)
"""Networks whose layers are named as in a PyTorch library, for `python -m cervix_tf.models convert`."""


def imagenet_weights(name: str) -> str:
    """Where the network's ImageNet weights come from."""
    if name in CONVERTIBLE:
        return "convert a PyTorch checkpoint"
    return "Keras' download" if NETWORKS[name].file else "none"
