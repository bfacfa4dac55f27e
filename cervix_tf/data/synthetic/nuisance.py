"""What gets between a colposcope and a cervix: motion, glare, text, swabs, a speculum, mucus and blood.

Nothing here knows the class of a visit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cervix_tf.data.synthetic import drawing
from cervix_tf.data.synthetic.drawing import Color

_COVERED = 0.07  # probability that mucus or blood hides the place of the lesion in a view
_SWAB = 0.12


@dataclass(frozen=True)
class Circumstances:
    """How one view is taken; masks are (height, width) float32 covers in [0, 1]."""

    layers: tuple[tuple[str | Color, np.ndarray], ...]
    """Colors (or names in the stain's palette) and masks, painted one after the other."""
    gain: np.ndarray
    """Brightness of the channels and vignetting, (3, height, width)."""
    motion: np.ndarray
    """(2, 3) map from this view's pixels to the scene's."""
    glare: np.ndarray
    """(height, width) uint8, added after the motion: the light is fixed to the camera."""
    text: tuple[str, ...]
    """Written into the corners by the camera; may be empty."""
    covered: bool
    """Whether mucus or blood lies on the place of the lesion."""

    def applied(self, picture: np.ndarray, palette: dict[str, Color]) -> np.ndarray:
        """The image, (height, width, 3) uint8 RGB, of a lit scene (3, height, width); `picture` is painted over."""
        for color, mask in self.layers:
            drawing.blend(picture, palette[color] if isinstance(color, str) else color, mask)
        picture *= self.gain
        image = self.moved(cv2.merge([cv2.convertScaleAbs(plane) for plane in np.maximum(picture, 0)]))
        image = cv2.add(image, cv2.merge([self.glare] * 3))
        height, width = image.shape[:2]
        for text, place in zip(self.text, (0.06, 0.72), strict=False):
            origin = (round(place * width), round(0.1 * height))
            cv2.putText(
                image,
                text,
                origin,
                cv2.FONT_HERSHEY_PLAIN,
                height / 240,
                (210, 205, 60),
                max(1, height // 200),
            )
        return image

    def moved(self, image: np.ndarray) -> np.ndarray:
        """`image`, (height, width, ...) of the scene, as this view's camera sees it."""
        size = image.shape[1::-1]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, self.motion, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def draw(
    rng: np.random.Generator,
    views: Sequence[str],
    shape: tuple[int, int],
    center: np.ndarray,
    radius: float,
    lesion: np.ndarray,
) -> dict[str, Circumstances]:
    """View -> circumstances, for a cervix at `center` with `radius` (heights).

    `lesion` is the cover, (height, width), of what has to lie over the lesion to hide it.
    """
    x, y = drawing.grid(shape)
    camera = rng.uniform(0.82, 1.12) * rng.uniform((0.95, 0.97, 0.9), (1.05, 1.03, 1.1))
    vignette = 1 - np.float32(rng.uniform(0.1, 0.5)) * np.clip(x * x + y * y - 0.1, 0, None)
    speculum = _speculum(rng, shape)
    always = [("mucus", _strand(rng, shape, center, radius)), ("blood", _spots(rng, shape, center, radius))]
    reflex = center + rng.uniform(-0.6, 0.6, 2) * radius
    writes, clock, zoom = rng.random() < 0.5, int(rng.integers(5, 50)), int(rng.integers(4, 17))
    seen = {}
    for view in views:
        covered = rng.random() < _COVERED
        over = [_cover(rng, shape, lesion)] if covered else []
        swab = _swab(rng, shape, center, radius) if rng.random() < _SWAB else []
        clock += int(rng.integers(8, 25))
        gain = (camera * rng.uniform(0.93, 1.07)).astype(np.float32).reshape(3, 1, 1) * vignette
        seen[view] = Circumstances(
            layers=(*always, *over, *swab, *speculum),
            gain=gain,
            motion=_motion(rng, shape),
            glare=_glare(rng, shape, reflex, radius),
            text=(f"X{zoom:02d}", f"{clock // 60:02d}:{clock % 60:02d}") if writes else (),
            covered=covered,
        )
    return seen


def _cover(rng: np.random.Generator, shape: tuple[int, int], lesion: np.ndarray) -> tuple[str, np.ndarray]:
    """A pool of mucus or blood over the place of the lesion, which shows next to nothing of it."""
    thickness = np.float32(0.97) + np.float32(0.1) * drawing.noise(rng, shape, 12)
    return str(rng.choice(["mucus", "blood"])), np.clip(lesion * thickness, 0, 1)


def _motion(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A turn of up to 3 degrees, 4 % of zoom and a shift of up to 2 % of the height: a breath between two pictures."""
    height, width = shape
    middle = ((width - 1) / 2, (height - 1) / 2)
    motion = cv2.getRotationMatrix2D(middle, rng.uniform(-3, 3), rng.uniform(0.96, 1.0))
    motion[:, 2] += rng.uniform(-0.02, 0.02, 2) * height
    return motion


def _speculum(rng: np.random.Generator, shape: tuple[int, int]) -> list[tuple[Color, np.ndarray]]:
    """Nothing, a ring, or two blades at the image's edge, with the dark outside them."""
    kind = rng.choice(["none", "ring", "blades"])
    x, y = drawing.grid(shape)
    x, y = x - np.float32(rng.uniform(-0.06, 0.06)), y - np.float32(rng.uniform(-0.03, 0.03))
    curve, opening = rng.uniform(0.05, 0.3), rng.uniform(0.43, 0.5)
    distance = np.hypot(x, y) - np.float32(opening + 0.06) if kind == "ring" else np.abs(y) + curve * x * x - opening
    if kind == "none":
        return []
    metal = float(rng.uniform(110, 190))
    rim = 1 - drawing.step(distance, 0.0, 0.02)
    outside = 1 - drawing.step(distance, 0.07, 0.06)
    return [((metal, metal, metal * 0.97), rim), ((28.0, 20.0, 20.0), outside)]


def _strand(rng: np.random.Generator, shape: tuple[int, int], center: np.ndarray, radius: float) -> np.ndarray:
    """Cover of mucus that hangs from the os, in one visit of three."""
    length, lean = rng.uniform(0.2, 0.6) * radius, rng.uniform(-0.5, 0.5)
    down = np.linspace(0, 1, 12)
    path = np.stack([lean * down**2 + 0.1 * rng.normal(0, 1, 12).cumsum() / 4, down], axis=1) * length + center
    mask = drawing.strokes(shape, [(path, rng.uniform(0.02, 0.05))])
    present = rng.random() < 1 / 3
    return cv2.GaussianBlur(mask, (0, 0), 0.008 * shape[0]) * np.float32(rng.uniform(0.4, 0.8) * present)


def _spots(rng: np.random.Generator, shape: tuple[int, int], center: np.ndarray, radius: float) -> np.ndarray:
    """Cover of a few drops of blood, in one visit of three."""
    number = int(rng.integers(1, 6)) if rng.random() < 1 / 3 else 0
    places = center + rng.uniform(-0.9, 0.9, (number, 2)) * radius
    return drawing.discs(shape, places, rng.uniform(0.006, 0.025, number)) * np.float32(0.85)


def _swab(
    rng: np.random.Generator, shape: tuple[int, int], center: np.ndarray, radius: float
) -> list[tuple[str | Color, np.ndarray]]:
    """A cotton swab from the lower edge or a side to the rim of the cervix."""
    angle = rng.uniform(0.0, np.pi)  # y points down: never from above
    outwards = np.array([np.cos(angle), np.sin(angle)])
    tip = center + outwards * radius * rng.uniform(0.8, 1.0)
    stick = drawing.strokes(shape, [(np.stack([tip, tip + outwards]), 0.025)])
    cotton = drawing.strokes(shape, [(np.stack([tip, tip + outwards * 0.12]), rng.uniform(0.07, 0.1))])
    return [((186.0, 160.0, 120.0), stick), ("cotton", cv2.GaussianBlur(cotton, (0, 0), 0.006 * shape[0]))]


def _glare(rng: np.random.Generator, shape: tuple[int, int], reflex: np.ndarray, radius: float) -> np.ndarray:
    """Reflections of the lamp on wet tissue: small, white, in a cloud about `reflex`."""
    number = int(rng.integers(3, 22))
    places = reflex + rng.normal(0, 0.35, (number, 2)) * radius
    canvas = np.zeros(shape, np.uint8)
    sizes, angles = rng.uniform((0.003, 0.002), (0.018, 0.008), (number, 2)), rng.uniform(0, 180, number)
    for place, (length, width), angle in zip(drawing.pixels(places, shape).tolist(), sizes, angles, strict=True):
        axes = [max(8, round(float(size) * shape[0] * 16)) for size in (length, width)]
        cv2.ellipse(canvas, place, axes, float(angle), 0, 360, 255, -1, cv2.LINE_AA, drawing.SHIFT)
    return cv2.GaussianBlur(canvas, (3, 3), 0)
