"""Which images meet in a batch, for losses that compare images with each other.

Every sampler gives one epoch's batches as positions in `inputs`, (batches, rows), a
function of its generator alone; `pipeline.sampled` loads them. Within a class every
image is drawn equally often. Two images of one group (woman, visit, slide; where it is
empty the case, else the image) come as a positive pair only with `same_group=True`:
they share the camera, the light and the woman, which is easier to learn than the class.
Unlabeled inputs are never drawn.

The paper says "randomly sampled" and no more: not how often each class is drawn, not how
many batches an epoch has, not whether one woman's images may meet. Here classes are
equally likely, whatever their size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cervix_tf.data.groups import groups_of
from cervix_tf.data.inputs import Inputs
from cervix_tf.errors import InputError

Positions = NDArray[np.int64]

_CHUNK = 2_000_000  # random numbers held at a time, 16 MB


def p_by_s(
    inputs: Inputs,
    generator: np.random.Generator,
    *,
    classes: int,
    images: int,
    batches: int,
    same_group: bool = False,
) -> Positions:
    """Batches of `classes` random classes with `images` different images each, class by class, (batches, P x S).

    Source: Pal et al. 2021, sec. III-C: P classes (2), S images of each (8).

    Raises `InputError` when there are fewer classes, or images of a class (groups, unless `same_group`).
    """
    members = _members(inputs, same_group)
    chosen = _distinct_classes(inputs, members, classes, batches, generator)
    drawn = np.empty((batches, classes, images), dtype=np.int64)
    for label, of_class in members.items():
        where = chosen == label
        if where.any():
            drawn[where] = _of_different_groups(inputs, label, of_class, images, int(where.sum()), generator)
    return drawn.reshape(batches, classes * images)


def n_pairs(
    inputs: Inputs,
    generator: np.random.Generator,
    *,
    classes: int,
    batches: int,
    tuplets: int = 1,
    same_group: bool = False,
) -> Positions:
    """Batches of an anchor and a positive of each of N random `classes`, anchors in even columns, for `losses.n_pair`.

    (batches, tuplets x 2N). The paper has N = 2 and one tuplet, four images a step; several
    tuplets fill a larger batch.

    Source: Pal et al. 2021, sec. III-B.

    Raises `InputError` as `p_by_s`.
    """
    drawn = p_by_s(inputs, generator, classes=classes, images=2, batches=batches * tuplets, same_group=same_group)
    return drawn.reshape(batches, tuplets * 2 * classes)


def pairs(
    inputs: Inputs,
    generator: np.random.Generator,
    *,
    pairs: int,
    batches: int,
    same_group: bool = False,
) -> Positions:
    """Batches of pairs in columns 2i and 2i + 1, by turns positive and negative, for `losses.contrastive`.

    (batches, 2 x pairs). The class of a positive pair and the two classes of a negative
    one are random. A negative pair may be of one group: two images of a woman that have
    different labels.

    Source: Pal et al. 2021, sec. III-A.
    Departs: "a randomly sampled pair" does not say how often pairs are positive; half of
        them here.

    Raises `InputError` as `p_by_s`.
    """
    members = _members(inputs, same_group)
    total = batches * pairs
    chosen = _distinct_classes(inputs, members, 2, total, generator)
    positive = np.arange(total) % 2 == 0
    drawn = np.empty((total, 2), dtype=np.int64)
    for label, of_class in members.items():
        where = positive & (chosen[:, 0] == label)
        if where.any():
            drawn[where] = _of_different_groups(inputs, label, of_class, 2, int(where.sum()), generator)
        apart = (chosen == label) & ~positive[:, None]
        drawn[apart] = generator.choice(of_class[0], int(apart.sum()))
    return drawn.reshape(batches, 2 * pairs)


_Members = dict[int, tuple[Positions, Positions]]
"""Positions of each class's images, and the number of each one's group."""


def _members(inputs: Inputs, same_group: bool) -> _Members:
    owners = inputs.rows["id"].to_numpy() if same_group else groups_of(inputs.rows, "id").to_numpy(object)
    found = {}
    for label in np.unique(inputs.labels[inputs.labels >= 0]):
        positions = np.flatnonzero(inputs.labels == label)
        found[int(label)] = positions, np.unique(owners[positions], return_inverse=True)[1]
    return found


def _distinct_classes(
    inputs: Inputs, members: _Members, count: int, draws: int, generator: np.random.Generator
) -> Positions:
    """Labels of `count` different classes, (draws, count)."""
    if len(members) < count:
        there = ", ".join(inputs.classes[label] for label in members) or "none"
        raise InputError(f"{count} classes should be in a batch, but only {len(members)} have images here ({there})")
    every = np.tile(np.array(list(members)), (draws, 1))
    return generator.permuted(every, axis=1)[:, :count]


def _of_different_groups(
    inputs: Inputs,
    label: int,
    of_class: tuple[Positions, Positions],
    count: int,
    draws: int,
    generator: np.random.Generator,
) -> Positions:
    """`count` images of the class from as many groups, each image equally often, (draws, count).

    Systematic sampling: the class's images in a row, group beside group, both in random
    order, and every (images / count)-th from a random start. Each image is hit equally
    often, and no group twice, unless it has more than images / count images: then its
    images are drawn less often than the others'.

    Source: Madow, Annals of Mathematical Statistics 20, 1949.
    """
    positions, group = of_class
    shares = _inclusion(np.bincount(group), count)
    if shares is None:
        raise InputError(
            f"class {inputs.classes[label]!r} has {len(positions)} images in {group.max() + 1} groups, but {count} "
            "of different groups are to meet in a batch; draw fewer, or allow positive pairs within a group"
        )
    weights = (shares / np.bincount(group))[group]
    found = np.empty((draws, count), dtype=np.int64)
    step = max(1, _CHUNK // len(positions))
    for first in range(0, draws, step):
        some = found[first : first + step]
        place = generator.permuted(np.tile(np.arange(len(shares)), (len(some), 1)), axis=1)
        order = np.argsort(place[:, group] + generator.random((len(some), len(group))), axis=1)
        reached = np.cumsum(weights[order], axis=1)
        reached[:, -1] = count
        marks = generator.random((len(some), 1)) + np.arange(count)
        # One search for all rows: row r lies between r and r + 1 times the count.
        ahead = count * np.arange(len(some))[:, None]
        at = np.searchsorted((reached + ahead).ravel(), (marks + ahead).ravel(), side="right").reshape(some.shape)
        last = len(group) * np.arange(1, len(some) + 1)[:, None] - 1  # a mark may be rounded up to the row's end
        some[:] = positions[order.ravel()[np.minimum(at, last)]]
    return found


def _inclusion(sizes: NDArray[np.int64], count: int) -> NDArray[np.float64] | None:
    """How often a group is among the `count` drawn: by its size, at most always; None when there are too few groups."""
    if len(sizes) < count:
        return None
    shares = sizes * count / sizes.sum()
    while shares.max() > 1:
        always = shares >= 1
        shares[always] = 1.0
        shares[~always] = sizes[~always] * (count - always.sum()) / sizes[~always].sum()
    return shares
