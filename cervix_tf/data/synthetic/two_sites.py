"""A folder of synthetic cervigrams of two sites with one table: few labels, by criteria of each site's own.

`<site>/<woman>_<1, 2>.jpg` beside `cervigrams.csv` with the columns path, label, woman,
site, split: what a user of the federated study brings, in the proportions of its Table I:
two acetic acid images of each woman, most of them unlabeled.

| site | control | case | camera |
|---|---|---|---|
| nhs | normal, CIN1 | CIN2-3 | cool colors, sharp |
| alts | CIN1 | CIN2-3, cancer | warm colors, a little blurred |

What a class shows is a lesion's size, border and density. Exposure and contrast differ
from woman to woman by more than the lesion changes them, and say nothing: few labels
mislead about them, many unlabeled images with changed brightness and gamma do not.
"""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cervix_tf import processor
from cervix_tf.atomic import replacing
from cervix_tf.data.synthetic import colposcopy
from cervix_tf.errors import InputError

COLUMNS = ("path", "label", "woman", "site", "split")
SPLITS = {"train": 0.5, "validation": 0.2, "test": 0.3}
_QUALITY = 90
_VIEWS = ("acetic_2", "acetic_3")
_README = """\
SYNTHETIC IMAGES. No woman was photographed; every picture here was drawn by cervix_tf.

{women} women at each of the sites {sites}, images of {width} x {height} pixels, seed {seed}. What is
measured on them says that software works; it says nothing about women, and no model trained on them
may be used for diagnosis.
"""


@dataclass(frozen=True)
class _Site:
    number: int
    case: tuple[str, ...]
    control: tuple[str, ...]
    color: tuple[float, float, float]
    """Factors of red, green and blue."""
    blur: float
    """Standard deviation in pixels of an image 96 pixels high."""


SITES = {
    "nhs": _Site(0, ("cin2_3",), ("normal", "cin1"), (0.94, 1.0, 1.06), 0.0),
    "alts": _Site(1, ("cin2_3", "cancer"), ("cin1",), (1.06, 1.0, 0.9), 0.6),
}


def write(
    root: Path,
    *,
    women: int,
    seed: int,
    labeled: int = 40,
    tested: int = 160,
    case_share: float = 0.4,
    height: int = 96,
    width: int = 128,
) -> None:
    """Draw two images of each of `women` women at each site into the new folder `root`.

    The parts share no woman. Of the women outside the test part `labeled` have a label,
    shared out over train and validation as these are; of those in it, `tested`. Files are the
    same, byte for byte, for the same arguments. The folder appears only when it is whole.

    Raises `InputError` when `root` holds something already, or a part would lack labeled women.
    """
    root = Path(root)
    if root.exists():
        raise InputError(f"{root}: exists; remove it, or choose another folder for synthetic cervigrams")
    in_test = round(SPLITS["test"] * women)
    if labeled < 10 or tested < 4 or tested > in_test or labeled > women - in_test:
        raise InputError(
            f"{women} women a site, {labeled} labeled and {tested} tested: at least 10 and 4, "
            f"and no more than the {women - in_test} and {in_test} that there are"
        )
    with replacing(root) as part, ThreadPoolExecutor(processor.here().cores) as pool:
        part.mkdir()
        plans = [plan for name in SITES for plan in _plans(name, women, seed, labeled, tested, case_share)]
        for name in SITES:
            (part / name).mkdir()
        list(pool.map(lambda plan: _draw(part, plan, seed, (height, width)), plans))
        with (part / "cervigrams.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for plan in plans:
                table.writerows((path, plan.label, f"{plan.site} {plan.woman}", plan.site, plan.split)
                                for path in plan.paths)  # fmt: skip
        text = _README.format(women=women, sites=" and ".join(SITES), width=width, height=height, seed=seed)
        (part / "README.txt").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class _Woman:
    site: str
    woman: int
    kind: str
    """What is drawn, one of `colposcopy.CLASSES`."""
    label: str
    """case, control, or empty."""
    split: str

    @property
    def paths(self) -> list[str]:
        return [f"{self.site}/{self.woman:04d}_{at}.jpg" for at in range(1, len(_VIEWS) + 1)]


def _plans(name: str, women: int, seed: int, labeled: int, tested: int, case_share: float) -> list[_Woman]:
    """Who is in which part, labeled or not, case or control; numbers are dealt at random, so they tell nothing."""
    site = SITES[name]
    rng = np.random.default_rng([seed, women, site.number])
    train = round(women * SPLITS["train"])
    counts = {"train": train, "validation": women - train - round(women * SPLITS["test"])}
    share = SPLITS["train"] / (SPLITS["train"] + SPLITS["validation"])
    known = {"train": round(labeled * share), "validation": labeled - round(labeled * share), "test": tested}
    counts["test"] = women - sum(counts.values())
    numbers, found = iter(rng.permutation(women).tolist()), []
    for split, count in counts.items():
        for at in range(count):
            # Labeled women first, in the class's share as nearly as whole women allow; the rest by chance.
            has_label = at < known[split]
            case = at < round(case_share * known[split]) if has_label else rng.random() < case_share
            kind = str(rng.choice(site.case if case else site.control))
            label = ("case" if case else "control") if has_label else ""
            found.append(_Woman(name, next(numbers), kind, label, split))
    return sorted(found, key=lambda woman: woman.woman)


def _draw(root: Path, plan: _Woman, seed: int, shape: tuple[int, int]) -> None:
    site = SITES[plan.site]
    rng = np.random.default_rng([seed, plan.woman, site.number, 2])  # what does not touch the anatomy
    exposure, contrast = rng.uniform(0.55, 1.25), np.exp(rng.uniform(np.log(0.65), np.log(1.55)))
    visit = colposcopy.draw(seed, 2 * plan.woman + site.number, plan.kind, shape)
    for path, view in zip(plan.paths, _VIEWS, strict=True):
        light = (visit.images[view] / np.float32(255)) ** np.float32(contrast) * np.float32(exposure * 255)
        picture = np.clip(light * np.asarray(site.color, np.float32), 0, 255)
        if site.blur:
            picture = cv2.GaussianBlur(picture, (0, 0), site.blur * shape[0] / 96)
        pixels = np.rint(picture).astype(np.uint8)
        jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        (root / path).write_bytes(jpeg.tobytes())
