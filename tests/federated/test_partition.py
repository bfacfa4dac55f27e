import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from cervix_tf.data import manifest
from cervix_tf.data.splits import check_disjoint
from cervix_tf.errors import InputError
from cervix_tf.federated import partition


def women(count, sites=("",)):
    """Two images of each woman, every third a case."""
    return manifest.from_records(
        [
            {"path": f"{woman:03d}_{k}.jpg", "label": "case" if woman % 3 == 0 else "control",
             "group": f"w{woman}", "site": sites[woman % len(sites)]}
            for woman in range(count) for k in range(2)
        ],
        ".",
    )  # fmt: skip


def test_sites_are_clients():
    found = partition.by_site(women(12, ("nhs", "alts")))
    assert {name: len(part) for name, part in found.items()} == {"alts": 12, "nhs": 12}


def test_images_without_a_site_a_single_site_and_a_woman_at_two_sites_are_refused():
    with pytest.raises(InputError, match="4 of 12 images have no site"):
        partition.by_site(women(6, ("nhs", "alts", "")))
    with pytest.raises(InputError, match="all images are from the site nhs"):
        partition.by_site(women(6, ("nhs",)))
    both = women(6, ("nhs", "alts"))
    both.rows.loc[0, "site"] = "alts"
    with pytest.raises(InputError, match=r"(?s)group 'w0' is in alts.*put the site before it"):
        partition.by_site(both)


def test_one_site_alone_is_enough_where_nothing_is_federated():
    assert list(partition.by_site(women(6, ("nhs",)), at_least=1)) == ["nhs"]


def test_groups_are_dealt_out_whole_with_the_same_share_of_each_class():
    found = partition.by_group(women(60), 3, seed=0)
    check_disjoint(found)
    assert list(found) == ["client-1", "client-2", "client-3"]
    for part in found.values():
        assert abs(len(part) - 40) <= 4 and abs((part.rows["label"] == "case").mean() - 1 / 3) < 0.05


@hypothesis.given(st.integers(2, 5), st.sampled_from([0.3, 1.0, 100.0]), st.integers(0, 1000))
@hypothesis.settings(max_examples=20)
def test_a_dirichlet_partition_loses_no_image_and_parts_no_group(clients, concentration, seed):
    everything = women(40)
    try:
        found = partition.dirichlet(everything, clients, concentration, seed)
    except InputError as error:
        assert "gets none of 40 groups" in str(error)
        return
    check_disjoint(found)
    assert sorted(path for part in found.values() for path in part.rows["path"]) == list(everything.rows["path"])
    again = partition.dirichlet(everything, clients, concentration, seed)
    assert all(list(again[name].rows["path"]) == list(part.rows["path"]) for name, part in found.items())


def test_a_small_concentration_makes_the_clients_differ():
    def spread(concentration):
        shares = []
        for seed in range(20):
            try:
                parts = partition.dirichlet(women(90), 2, concentration, seed).values()
            except InputError:
                continue
            shares.append(np.ptp([(part.rows["label"] == "case").mean() for part in parts]))
        return np.mean(shares)

    assert spread(0.3) > 5 * spread(1000.0)
