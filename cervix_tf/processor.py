"""What processor this is, and how many of its cores this process may use."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# As Linux, macOS and this project write them.
_SETS = {
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    "asimd": "NEON",
    "bf16": "ARM-BF16",
}
_NEURAL = {"avx_vnni", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"}
# What a setting of oneDNN leaves of them: ONEDNN_MAX_CPU_ISA is a way to see how another processor would fare.
_LIMITED = {
    "SSE41": (),
    "AVX": (),
    "AVX2": ("AVX2",),
    "AVX2_VNNI": ("AVX2", "AVX-VNNI"),
    "AVX2_VNNI_2": ("AVX2", "AVX-VNNI"),
    "AVX512_CORE": ("AVX2", "AVX512"),
    "AVX512_CORE_VNNI": ("AVX2", "AVX512", "AVX512-VNNI"),
    "AVX512_CORE_BF16": ("AVX2", "AVX512", "AVX512-VNNI", "AVX512-BF16"),
}


@dataclass(frozen=True)
class Processor:
    """One processor, as far as the choices below depend on it."""

    name: str
    sets: frozenset[str]
    """Its instruction sets, of those that matter here: AVX2, AVX512, AVX512-BF16, AMX-BF16, ..."""
    cores: int
    """Cores that this process may use: those it is bound to, and no more than its container has time for."""
    logical: int
    """Logical CPUs of the machine."""
    neural: bool = False
    """Whether it has instructions for neural networks: by that TensorFlow decides on oneDNN, whatever limits `sets`."""

    def __str__(self) -> str:
        some = "" if self.cores == self.logical else f", {self.cores} of them for this process"
        return f"{self.name}, {self.logical} logical CPUs{some}"


@functools.cache
def here() -> Processor:
    """The processor of this process."""
    name, flags = _name_and_flags()
    return Processor(name, _sets(flags, os.environ), cores(), os.cpu_count() or 1, bool(flags & _NEURAL))


def cores() -> int:
    """Cores that this process may use, at least 1."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(Path("/sys/fs/cgroup"), _text(Path("/proc/self/cgroup")))
    return max(1, min(bound, int(quota + 0.5))) if quota else bound


def _name_and_flags() -> tuple[str, set[str]]:
    """As the operating system has them; no flags where it does not say."""
    values: dict[str, str] = {}
    for line in _text(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        values.setdefault(key.strip(), value.strip())
    if platform.system() == "Darwin":
        values["model name"] = _said("sysctl", "-n", "machdep.cpu.brand_string")
        arm = "asimd" if platform.machine() == "arm64" else ""
        values["flags"] = f"{_said('sysctl', '-n', 'machdep.cpu.leaf7_features').lower()} {arm}"
    name = values.get("model name") or platform.processor() or platform.machine()
    return name, set((values.get("flags") or values.get("Features") or "").split())


def _sets(flags: set[str], environment: Mapping[str, str]) -> frozenset[str]:
    found = frozenset(name for flag, name in _SETS.items() if flag in flags)
    limit = environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return found & frozenset(_LIMITED[limit]) if limit in _LIMITED else found


def _quota(root: Path, groups: str) -> float:
    """Cores' worth of time that the control groups (of /proc/self/cgroup) of this process leave it; 0 = no limit."""
    found = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        of_kind = root / "cpu" if "cpu" in controllers.split(",") else root
        place = Path(path.lstrip("/"))
        for folder in (of_kind / place, *(of_kind / parent for parent in place.parents)):
            quota, period = [*_text(folder / "cpu.max").split(), "", ""][:2]
            quota = quota or _text(folder / "cpu.cfs_quota_us").strip()
            period = period or _text(folder / "cpu.cfs_period_us").strip()
            if quota.isdecimal() and period.isdecimal() and int(period):
                found.append(int(quota) / int(period))
    return min(found, default=0.0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=5).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
