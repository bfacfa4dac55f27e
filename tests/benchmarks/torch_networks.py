"""The peers' networks in PyTorch: torchvision's layers, written here because torchvision has no Xception.

Each maps pixels (batch, 3, height, width) in [0, 255] to logits of four classes. The
numbers of weights equal those of this project's networks (`training_step` checks that).
"""

from __future__ import annotations

import torch
from torch import nn


class Normalized(nn.Module):
    """`network` on pixels / 127.5 - 1."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels / 127.5 - 1.0)


class Plus(nn.Module):
    """The sum of a body and its shortcut."""

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None, after: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut, self.after = body, shortcut or nn.Identity(), after or nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(self.body(x) + self.shortcut(x))


class Appended(nn.Module):
    """The input with the maps of `body` after its own."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], 1)


def network(name: str) -> nn.Module:
    """mobilenet_v2 (tuned: 32 maps, dropout 0.7), resnet50, densenet121, xception, deit_tiny (timm's) or cvm."""
    if name == "deit_tiny":
        return Normalized(_deit_tiny(classes=4))
    if name == "cvm":
        return Normalized(CvmCervix(classes=11))
    return Normalized(nn.Sequential(*{"mobilenet_v2": _mobilenet_v2, "resnet50": _resnet50,
                                      "densenet121": _densenet121, "xception": _xception}[name]()))  # fmt: skip


def _conv(inner: int, outer: int, size: int = 1, stride: int = 1, groups: int = 1, padding: int | None = None):
    padding = size // 2 if padding is None else padding
    return nn.Conv2d(inner, outer, size, stride, padding, groups=groups, bias=False)


def _head(maps: int, dropout: float = 0.0) -> list[nn.Module]:
    drop = [nn.Dropout(dropout)] if dropout else []
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), *drop, nn.Linear(maps, 4)]


def _mobilenet_v2() -> list[nn.Module]:
    def normalized(inner, outer, size=1, stride=1, groups=1):
        return [_conv(inner, outer, size, stride, groups), nn.BatchNorm2d(outer, eps=1e-3)]

    def block(inner, outer, stride, expansion):
        wide = inner * expansion
        first = [*normalized(inner, wide), nn.ReLU6(inplace=True)] if expansion > 1 else []
        body = nn.Sequential(
            *first, *normalized(wide, wide, 3, stride, wide), nn.ReLU6(inplace=True), *normalized(wide, outer)
        )
        return Plus(body) if stride == 1 and inner == outer else body

    parts, maps = [*normalized(3, 32, 3, 2), nn.ReLU6(inplace=True)], 32
    for expansion, outer, repeats, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    ):  # fmt: skip
        for at in range(repeats):
            parts.append(block(maps, outer, stride if at == 0 else 1, expansion))
            maps = outer
    return [*parts, *normalized(maps, 32), nn.ReLU6(inplace=True), nn.Dropout2d(0.7), *_head(32)]


def _resnet50() -> list[nn.Module]:
    def normalized(inner, outer, size=1, stride=1):
        # keras.applications' ResNet-50 has biases; so have its peers here.
        convolution = nn.Conv2d(inner, outer, size, stride, size // 2)
        return [convolution, nn.BatchNorm2d(outer, eps=1.001e-5)]

    def block(inner, width, stride):
        body = [*normalized(inner, width, 1, stride), nn.ReLU(inplace=True), *normalized(width, width, 3)]
        body += [nn.ReLU(inplace=True), *normalized(width, 4 * width)]
        new = inner != 4 * width
        return Plus(
            nn.Sequential(*body),
            nn.Sequential(*normalized(inner, 4 * width, 1, stride)) if new else None,
            nn.ReLU(inplace=True),
        )

    parts, maps = [*normalized(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)], 64
    for width, repeats, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for at in range(repeats):
            parts.append(block(maps, width, stride if at == 0 else 1))
            maps = 4 * width
    return [*parts, *_head(maps)]


def _densenet121() -> list[nn.Module]:
    def active(maps):
        return [nn.BatchNorm2d(maps, eps=1.001e-5), nn.ReLU(inplace=True)]

    parts, maps = [_conv(3, 64, 7, 2), *active(64), nn.MaxPool2d(3, 2, 1)], 64
    for repeats in (6, 12, 24, 16):
        if repeats != 6:
            parts += [*active(maps), _conv(maps, maps // 2), nn.AvgPool2d(2)]
            maps //= 2
        for _ in range(repeats):
            # Not in place: what comes in is also what is appended to.
            first = [nn.BatchNorm2d(maps, eps=1.001e-5), nn.ReLU(), _conv(maps, 128)]
            parts.append(Appended(nn.Sequential(*first, *active(128), _conv(128, 32, 3))))
            maps += 32
    return [*parts, *active(maps), *_head(maps)]


def _xception() -> list[nn.Module]:
    def normalized(inner, outer, *convolution):
        return [_conv(inner, outer, *convolution), nn.BatchNorm2d(outer, eps=1e-3)]

    def separable(inner, outer):
        return [_conv(inner, inner, 3, 1, inner), *normalized(inner, outer)]

    def block(inner, middle, outer, first):
        body = [*([nn.ReLU()] if first else []), *separable(inner, middle), nn.ReLU(inplace=True)]
        body += [*separable(middle, outer), nn.MaxPool2d(3, 2, 1)]
        return Plus(nn.Sequential(*body), nn.Sequential(*normalized(inner, outer, 1, 2)))

    def middle():
        body = [nn.ReLU(), *separable(728, 728)]
        for _ in range(2):
            body += [nn.ReLU(inplace=True), *separable(728, 728)]
        return Plus(nn.Sequential(*body))

    entry = [*normalized(3, 32, 3, 2, 1, 0), nn.ReLU(inplace=True), *normalized(32, 64, 3, 1, 1, 0)]
    entry += [nn.ReLU(inplace=True), block(64, 128, 128, False), block(128, 256, 256, True), block(256, 728, 728, True)]
    exit_flow = [block(728, 728, 1024, True), *separable(1024, 1536), nn.ReLU(inplace=True), *separable(1536, 2048)]
    return [*entry, *(middle() for _ in range(8)), *exit_flow, nn.ReLU(inplace=True), *_head(2048, 0.5)]


def _deit_tiny(classes: int) -> nn.Module:
    import timm

    return timm.create_model("deit_tiny_patch16_224", num_classes=classes)


class CvmCervix(nn.Module):
    """Xception's 2048 features and timm's DeiT-tiny's 192 -> logits, as `experiments.cvm_cervix.model.cvm`."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.cnn = nn.Sequential(*_xception()[:-2])  # without dropout and logits
        self.transformer = _deit_tiny(classes=0)
        self.head = nn.Sequential(nn.Linear(2240, 2240), nn.GELU(), nn.Linear(2240, classes))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(torch.cat([self.cnn(pixels), self.transformer(pixels)], 1))


class Ensemble(nn.Module):
    """Probabilities of one case: (7, height, width, 3) uint8 -> (1, 4), the study's ensemble of seven views."""

    def __init__(self) -> None:
        super().__init__()
        self.trunks = nn.ModuleList(self._trunk(maps) for maps in (32, 64, 32))
        wide = 5 * 256
        self.fusion = nn.Sequential(
            *(_conv(256, wide), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)),
            *(_conv(wide, wide, 3), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)),
            *(_conv(wide, 32), nn.BatchNorm2d(32), *_head(32)),
        )

    @staticmethod
    def _trunk(maps: int) -> nn.Module:
        *body, _, _, _, _, _, _, _ = _mobilenet_v2()
        return nn.Sequential(*body, _conv(320, maps), nn.BatchNorm2d(maps, eps=1e-3), nn.ReLU6(inplace=True))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixels = images.permute(0, 3, 1, 2).float()
        pixels = nn.functional.interpolate(pixels, (224, 298), mode="bilinear") / 127.5 - 1.0
        acetic, green, iodine = (trunk(some) for trunk, some in zip(self.trunks, pixels.split([5, 1, 1]), strict=True))
        stacked = torch.cat([acetic.flatten(0, 1)[None], green, iodine], 1)
        return self.fusion(stacked).softmax(1)
