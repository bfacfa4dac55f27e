"""Keras layers; importing this package lets Keras load models that contain them."""

from cervix_tf.layers.bfloat16_depthwise_conv2d import Bfloat16DepthwiseConv2D
from cervix_tf.layers.bfloat16_relu6 import Bfloat16ReLU6
from cervix_tf.layers.channel_shuffle import ChannelShuffle
from cervix_tf.layers.channel_split import ChannelSplit
from cervix_tf.layers.fuse import fuse, in_float32
from cervix_tf.layers.fused_batch_normalization import FusedBatchNormalization
from cervix_tf.layers.gelu_dense import GELUDense
from cervix_tf.layers.grouped_conv2d import GroupedConv2D
from cervix_tf.layers.inverted_residual_fusion import InvertedResidualFusion
from cervix_tf.layers.l2_embedding import L2Embedding
from cervix_tf.layers.performer_attention import PerformerAttention
from cervix_tf.layers.relative_attention import RelativeAttention
from cervix_tf.layers.resize_pixels import ResizePixels
from cervix_tf.layers.self_attention import SelfAttention
from cervix_tf.layers.simclr_projection import SimCLRProjection
from cervix_tf.layers.soft_split import SoftSplit
from cervix_tf.layers.strided_pointwise_conv2d import StridedPointwiseConv2D
from cervix_tf.layers.token_embedding import TokenEmbedding
from cervix_tf.layers.view_dropout import ViewDropout

__all__ = [
    "Bfloat16DepthwiseConv2D",
    "Bfloat16ReLU6",
    "ChannelShuffle",
    "ChannelSplit",
    "FusedBatchNormalization",
    "GELUDense",
    "GroupedConv2D",
    "InvertedResidualFusion",
    "L2Embedding",
    "PerformerAttention",
    "RelativeAttention",
    "ResizePixels",
    "SelfAttention",
    "SimCLRProjection",
    "SoftSplit",
    "StridedPointwiseConv2D",
    "TokenEmbedding",
    "ViewDropout",
    "fuse",
    "in_float32",
]
