import os

import pytest

from cervix_tf import processor
from cervix_tf.processor import Processor

SAPPHIRE = {"avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "fma", "sse"}


@pytest.mark.parametrize(
    ("limit", "sets"),
    [
        ("", {"AVX2", "AVX512", "AVX512-VNNI", "AVX512-BF16", "AMX-BF16", "AMX-INT8"}),
        ("avx2", {"AVX2"}),
        ("AVX512_CORE", {"AVX2", "AVX512"}),
        ("something_new", {"AVX2", "AVX512", "AVX512-VNNI", "AVX512-BF16", "AMX-BF16", "AMX-INT8"}),
    ],
)
def test_instruction_sets_are_those_of_the_processor_as_far_as_onednn_may_use_them(limit, sets):
    assert processor._sets(SAPPHIRE, {"ONEDNN_MAX_CPU_ISA": limit}) == sets


def test_a_limit_gives_no_processor_what_it_has_not():
    assert processor._sets({"avx2"}, {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}) == {"AVX2"}


def test_cores_are_those_that_the_process_is_bound_to():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system binds no process to cores")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert processor.cores() == 1
    finally:
        os.sched_setaffinity(0, before)
    assert 1 <= processor.here().cores <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("files", "groups", "cores"),
    [
        ({"cpu.max": "150000 100000"}, "0::/", 1.5),
        ({"cpu.max": "max 100000"}, "0::/", 0),
        ({"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, "0::/a/b", 2),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/docker/x", 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, "4:cpu:/\n3:memory:/z", 0),
        ({}, "", 0),
    ],
)
def test_a_container_has_no_more_cores_than_its_quota(tmp_path, files, groups, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert processor._quota(tmp_path, groups) == cores


def test_a_processor_says_how_many_cores_are_for_this_process():
    assert str(Processor("A", frozenset(), 2, 2)) == "A, 2 logical CPUs"
    assert str(Processor("A", frozenset(), 2, 64)) == "A, 64 logical CPUs, 2 of them for this process"
