"""Which images each client has: the sites of a manifest, or the groups of one data set dealt out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from cervix_tf.data import splits
from cervix_tf.data.manifest import Manifest
from cervix_tf.errors import InputError


def by_site(manifest: Manifest, at_least: int = 2) -> dict[str, Manifest]:
    """Each site of the manifest with its images, by name.

    Raises `InputError` when an image has no site, there are fewer than `at_least`, or a group is at two of them.
    """
    sites = manifest.rows["site"]
    if (sites == "").any():
        raise InputError(
            f"{manifest.root}: {int((sites == '').sum())} of {len(sites)} images have no site; fill the column site, "
            "or divide one data set among sites (by_group, dirichlet)"
        )
    by_name = {str(name): manifest.where(sites == name) for name in sorted(set(sites))}
    if len(by_name) < at_least:
        raise InputError(
            f"{manifest.root}: all images are from the site {next(iter(by_name))}; a federation needs {at_least}"
        )
    try:
        splits.check_disjoint(by_name)
    except InputError as error:
        *shared, _ = str(error).splitlines()  # the remedy is another one here
        shared.append(
            "a woman is to be at one site alone; where sites gave one number to several women, put the site before it "
            "in the columns group and case (nhs-17, alts-17)"
        )
        raise InputError("\n".join(shared)) from None
    return by_name


def by_group(manifest: Manifest, clients: int, seed: int) -> dict[str, Manifest]:
    """`client-1`, `client-2`, ...: whole groups, dealt out so that all have nearly the same share of each class.

    Raises `InputError` when a client would have no image.
    """
    return splits.grouped(manifest, dict.fromkeys(_names(clients), 1 / clients), seed)


def dirichlet(manifest: Manifest, clients: int, concentration: float, seed: int) -> dict[str, Manifest]:
    """`client-1`, `client-2`, ...: whole groups, each class shared out in proportions drawn from a Dirichlet.

    The smaller the `concentration`, the more the clients' classes differ: at 100 hardly, at
    0.1 a class is nearly all with one client. A group counts as the class of its first image.

    Source: Hsu, Qi, Brown 2019, sec. 3, with the roles of class and client exchanged, as in
        Yurochkin et al. 2019.

    Raises `InputError` when a client would have no image.
    """
    if clients < 1 or not concentration > 0:
        raise InputError(f"{clients} clients, concentration {concentration:g}: both must be above 0")
    ordered = replace(manifest, rows=manifest.rows.sort_values("path", ignore_index=True))
    groups = splits.group_numbers(ordered)
    labels = pd.Series(ordered.rows["label"]).groupby(groups).first().to_numpy()
    generator, home = np.random.default_rng(seed), np.empty(len(labels), dtype=int)
    for label in sorted(set(labels)):
        members = generator.permutation(np.flatnonzero(labels == label))
        shares = generator.dirichlet(np.full(clients, concentration))
        ends = np.rint(np.cumsum(shares)[:-1] * len(members)).astype(int)
        for client, part in enumerate(np.split(members, ends)):
            home[part] = client
    dealt = {name: ordered.where(pd.Series(home[groups] == at)) for at, name in enumerate(_names(clients))}
    empty = [name for name, part in dealt.items() if not len(part)]
    if empty:
        raise InputError(
            f"{empty[0]} gets none of {len(labels)} groups at concentration {concentration:g}; "
            "raise it, or choose another seed or fewer clients"
        )
    return dealt


def _names(clients: int) -> list[str]:
    width = len(str(clients))
    return [f"client-{number:0{width}d}" for number in range(1, clients + 1)]
