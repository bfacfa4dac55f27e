"""Keras layers; importing this package lets Keras load models that contain them."""

from cervix_tf.layers.bfloat16_depthwise_conv2d import Bfloat16DepthwiseConv2D
from cervix_tf.layers.bfloat16_relu6 import Bfloat16ReLU6
from cervix_tf.layers.fuse import fuse, in_float32
from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization
from cervix_tf.layers.grouped_conv2d import GroupedConv2D
from cervix_tf.layers.inverted_residual_fusion import InvertedResidualFusion
from cervix_tf.layers.l2_embedding import L2Embedding
from cervix_tf.layers.resize_pixels import ResizePixels
from cervix_tf.layers.simclr_projection import SimCLRProjection

__all__ = [
    "Bfloat16DepthwiseConv2D",
    "Bfloat16ReLU6",
    "FusedBatchNormalization",
    "GroupedConv2D",
    "InvertedResidualFusion",
    "L2Embedding",
    "ResizePixels",
    "SimCLRProjection",
    "fuse",
    "in_float32",
]
