"""`python -m cervix_tf.models`: the networks that there are, and PyTorch checkpoints for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional

from cervix_tf import errors
from cervix_tf.arguments import once
from cervix_tf.models import catalog


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command: 0; bad input exits with 2."""
    commands: dict[str, Callable[..., int]] = {"convert": convert, "list": list_}
    with errors.exit_cleanly():
        return tyro.extras.subcommand_cli_from_dict(
            commands, prog="python -m cervix_tf.models", description=__doc__, args=once(argv)
        )


def convert(
    checkpoint: Annotated[Positional[Path], tyro.conf.arg(metavar="CHECKPOINT")],
    network: Annotated[str, tyro.conf.arg(metavar="NAME")],
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FILE.weights.h5")],
) -> int:
    """Convert a checkpoint of torchvision, timm, facenet-pytorch or T2T-ViT to a weights file for --weights.

    The layers above the network's features, its head, are left out. `list` says which networks have checkpoints.

    Args:
        checkpoint: a .pth file (needs PyTorch) or a .safetensors file (does not)
        network: the network that the checkpoint is of
        out: weights file to write
    """
    from cervix_tf.models import checkpoint as checkpoints

    count = checkpoints.convert(checkpoint, network, out)
    print(f"{out}: {count} arrays of {network} without its top; give it as --weights {out}")
    return 0


def list_() -> int:
    """Every network: the smallest images it takes and where its ImageNet weights come from."""
    for name, network in catalog.NETWORKS.items():
        origin = catalog.imagenet_weights(name)
        print(f"{name:20} at least {network.smallest:3} pixels  ImageNet weights: {origin}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
