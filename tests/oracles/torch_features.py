"""Writes what PyTorch's networks make of two images: `python torch_features.py FILE [T2T-VIT]`.

Runs in an environment of its own: `pip install torch torchvision timm einops requests tqdm`, then `pip install
--no-deps facenet-pytorch bottleneck-transformer-pytorch`, whose pins are old. T2T-VIT is a clone of
github.com/yitu-opensource/T2T-ViT, which is in no package index. The tests read the file and need none of these.
"""

import json
import sys
import types
from importlib.metadata import version
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision.models
from bottleneck_transformer_pytorch.bottleneck_transformer_pytorch import Attention
from drawn_state import chosen, drawn, pixels
from facenet_pytorch import InceptionResnetV1
from torch import nn

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5,) * 3, (0.5,) * 3)  # timm's for ViT-B/16, and what torchvision's GoogLeNet makes of its images
FACENET = ((0.5,) * 3, (128 / 255,) * 3)
HEADS = ("aux1", "aux2", "avgpool", "avgpool_1a", "classifier", "dropout", "fc", "last_bn", "last_linear", "logits")
# Network, its images' height and width, normalization: other sizes than 224 x 224 where no position is learned.
TORCHVISION = {
    "alexnet": (95, 127, IMAGENET),
    "googlenet": (79, 96, HALVES),
    "resnet18": (65, 96, IMAGENET),
    "resnet34": (65, 96, IMAGENET),
    "resnext101_32x8d": (64, 64, IMAGENET),
    "shufflenet_v2_x0_5": (64, 64, IMAGENET),
    "shufflenet_v2_x1_0": (65, 96, IMAGENET),
    "vgg11": (64, 96, IMAGENET),
    "vgg13": (64, 96, IMAGENET),
}
TIMM = {
    "deit_tiny": ("deit_tiny_patch16_224", IMAGENET),
    "deit_tiny_distilled": ("deit_tiny_distilled_patch16_224", IMAGENET),
    "vit_b16": ("vit_base_patch16_224", HALVES),
}


class Attended(nn.Module):
    """BoTNet's attention in place of a 3x3 convolution (Srinivas et al. 2021, Fig. 4), by the names of our layers."""

    def __init__(self, maps, side, stride):
        super().__init__()
        attention = Attention(dim=maps, fmap_size=(side, side), heads=4, dim_head=maps // 4, rel_pos_emb=True)
        self.qkv = attention.to_qkv
        self.rel_height, self.rel_width = attention.pos_emb.rel_height, attention.pos_emb.rel_width
        self.attention = [attention]  # no module of its own: its weights have the names above
        self.pool = nn.AvgPool2d(2) if stride > 1 else nn.Identity()

    def forward(self, x):
        return self.pool(self.attention[0](x))


def botnet50():
    """torchvision's ResNet-50 with attention in its last stage, which halves the size by average pooling."""
    network = torchvision.models.resnet50(weights=None)
    for at, block in enumerate(network.layer4):
        block.conv2 = Attended(512, 14 if at == 0 else 7, block.conv2.stride[0])
    return network


def t2t_vit_14(clone):
    """The authors' network; of the timm of their time only what builds and initializes is asked for."""
    for name, needed in {
        "timm.models.helpers": {"load_pretrained": None},
        "timm.models.registry": {"register_model": lambda function: function},
        "timm.models.layers": {"trunc_normal_": nn.init.trunc_normal_, "DropPath": nn.Identity},
    }.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(needed)
    sys.path.insert(0, clone)
    from models.t2t_vit import t2t_vit_14

    return t2t_vit_14()


def layered(network):
    """The features of a network whose children run one after the other: (n, h, w, maps)."""

    def features(x):
        for name, child in network.named_children():
            x = x if name in HEADS else child(x)
        return x.permute(0, 2, 3, 1)

    return features


def drawn_state(network):
    """The network's state with drawn values; positions that are not learned stay."""
    return {
        key: value
        if key.endswith("num_batches_tracked") or not (value.requires_grad or key.endswith(("mean", "var", ".w")))
        else torch.from_numpy(drawn(key, tuple(value.shape)))
        for key, value in network.state_dict(keep_vars=True).items()
    }


def measured(network, features, height, width, normalization, origin):
    network.load_state_dict(drawn_state(network))
    network.eval()
    mean, deviation = (np.array(each) for each in normalization)
    images = ((pixels(height, width) / 255 - mean) / deviation).astype("float32").transpose(0, 3, 1, 2)
    with torch.no_grad():
        found = features(torch.from_numpy(np.ascontiguousarray(images))).numpy()
    values = [round(value, 7) for value in chosen(found)]
    print(origin, found.shape, f"deviation {found.std():.3g}", flush=True)
    return {
        **{"origin": origin, "height": height, "width": width, "shape": list(found.shape)},
        **{"largest": float(np.abs(found).max()), "values": values},
    }


def main():
    torch.manual_seed(0)
    found = {}
    for name, (height, width, normalization) in TORCHVISION.items():
        options = {"init_weights": False} if name == "googlenet" else {}
        network = getattr(torchvision.models, name)(weights=None, **options)
        features = layered(network)
        if name.startswith("shufflenet"):
            features = lambda x, own=features: own(x)  # noqa: E731
        origin = f"torchvision {version('torchvision')}"
        found[name] = measured(network, features, height, width, normalization, origin)
    for name, (original, normalization) in TIMM.items():
        network = timm.create_model(original)

        def features(x, network=network):
            return network.forward_head(network.forward_features(x), pre_logits=True)

        found[name] = measured(network, features, 224, 224, normalization, f"timm {version('timm')}")
    network = InceptionResnetV1(classify=False)
    origin = f"facenet-pytorch {version('facenet-pytorch')}"
    found["inception_resnet_v1"] = measured(network, layered(network), 95, 127, FACENET, origin)
    network = botnet50()
    origin = f"torchvision {version('torchvision')} with the attention of bottleneck-transformer-pytorch "
    origin += version("bottleneck-transformer-pytorch")
    found["botnet50"] = measured(network, layered(network), 224, 224, IMAGENET, origin)
    if len(sys.argv) > 2:
        network = t2t_vit_14(sys.argv[2])
        origin = "github.com/yitu-opensource/T2T-ViT"
        found["t2t_vit_14"] = measured(network, network.forward_features, 224, 224, IMAGENET, origin)
    found = {"made_by": f"torch {version('torch')}", "features": dict(sorted(found.items()))}
    Path(sys.argv[1]).write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
