"""T2T-ViT as its authors' code defines it, so that their checkpoint fits layer by layer."""

from __future__ import annotations

import keras
from keras import layers

from cervix_tf.layers.channel_split import ChannelSplit
from cervix_tf.layers.performer_attention import PerformerAttention
from cervix_tf.layers.soft_split import SoftSplit
from cervix_tf.layers.token_embedding import TokenEmbedding
from cervix_tf.models.vision_transformer import dense, encoder

_TOKEN = 64


def t2t_vit_14(
    *, input_shape: tuple[int, int, int] = (224, 224, 3), include_top: bool = True, classes: int = 1000
) -> keras.Model:
    """T2T-ViT-14, 21,465,806 trainable weights with 1000 classes: normalized images -> logits (batch, classes).

    Without top the class token, (batch, 384).

    Source: Yuan et al. 2021, Table 1 (21.5 M) and Fig. 4, with performers in the token-to-token
    module; layers are named as in the authors' `T2T-ViT/models/t2t_vit.py`.
    """
    images = keras.Input(input_shape, name="images")
    x = images
    for number, (size, stride, padding) in enumerate(((7, 4, 2), (3, 2, 1), (3, 2, 1))):
        split = SoftSplit(size, stride, padding, name=f"tokens_to_token.soft_split{number}")
        rows, columns = split.grid(x.shape)
        x = split(x)
        if number < 2:
            x = _token_performer(x, f"tokens_to_token.attention{number + 1}")
            x = layers.Reshape((rows, columns, _TOKEN), name=f"tokens_to_token.image{number}")(x)
    x = dense(x, 384, "tokens_to_token.project")
    x = encoder(TokenEmbedding(sines=True, name="embedding")(x), 14, 6, ratio=3, bias=False, epsilon=1e-5)
    if include_top:
        x = dense(x, classes, "head")
    return keras.Model(images, x, name="t2t_vit_14")


def _token_performer(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """(batch, n, width) -> (batch, n, 64): performer attention, added to its values, and a small dense block."""

    def norm(x: keras.KerasTensor, part: str) -> keras.KerasTensor:
        return layers.LayerNormalization(epsilon=1e-5, name=f"{name}.{part}")(x)

    def dropped(x: keras.KerasTensor, part: str) -> keras.KerasTensor:
        return layers.Dropout(0.1, name=f"{name}.{part}")(x)

    kqv = dense(norm(x, "norm1"), 3 * _TOKEN, f"{name}.kqv")
    *_, value = ChannelSplit(3, name=f"{name}.split")(kqv)
    y = dense(PerformerAttention(name=name)(kqv), _TOKEN, f"{name}.proj")
    x = layers.Add(name=f"{name}.attended")([value, dropped(y, "dp")])
    y = dense(norm(x, "norm2"), _TOKEN, f"{name}.mlp.0", activation="gelu")
    y = dropped(dense(y, _TOKEN, f"{name}.mlp.2"), "mlp.3")
    return layers.Add(name=f"{name}.add")([x, y])
