"""Whatever is killed, whenever, and whatever the disk loses then: the next start ends with the right results.

The whole of it: `make reliability`. `make test` runs a sample. Seeds are fixed, so that a failure can be repeated.
"""

import pytest

SEED = 20260117


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.reliability)])
def test_a_kill_around_any_call_of_the_writer_leaves_the_old_or_the_new_file_whole(every, quick_disk, script):
    found = script("writer_kills.py", quick_disk, every)
    assert len(found) == 6 and all(kills >= 20 // every for kills in found.values())


def test_a_sample_of_disturbed_trainings_ends_as_undisturbed_ones_do(quick_disk, script):
    found = script("killed_trainings.py", quick_disk, SEED, "power=2", "two=1")
    assert found["power"]["kills"] == 2 and found["two"]["refused"] == 1


@pytest.mark.reliability
def test_fifty_kills_at_random_moments_change_no_result(quick_disk, script):
    assert script("killed_trainings.py", quick_disk, SEED, "sigkill=50")["sigkill"]["kills"] == 50


@pytest.mark.reliability
def test_fifty_power_failures_lose_nothing_but_the_last_epoch(quick_disk, script):
    found = script("killed_trainings.py", quick_disk, SEED, "power=50")["power"]
    assert found["kills"] == 50 and found["lost"] > 20


@pytest.mark.reliability
def test_of_two_processes_on_one_run_one_is_refused_twenty_times(quick_disk, script):
    assert script("killed_trainings.py", quick_disk, SEED, "two=20")["two"]["refused"] == 20
