"""`python tests/benchmarks/bench.py [ROW ...]`: this project against its peers, a table for each kind of processor.

Every case is a process of its own that sets up, waits, and measures once whenever it is
told to. The cases of a row are measured in turn, A B C A B C ..., so that a machine that
slows down slows all of them; a ratio is taken within each turn. Without arguments all
rows are measured; words choose the rows whose title contains one of them, and the others
keep the numbers they have.
"""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

from row import Row

from cervix_tf import processor

SUBJECTS = (
    "training_step",
    "inference",
    "input_pipeline",
    "epoch",
    "loss_curve",
    "scaling",
    "metric_losses",
    "federated_round",
)
HERE = Path(__file__).parent
KINDS = ("AMX-BF16", "AVX512-BF16", "AVX512-VNNI", "AVX512", "AVX-VNNI", "AVX2", "NEON")
KIND = next((kind for kind in KINDS if kind in processor.here().sets), "other")
KEPT = HERE.parents[1] / "build" / "benchmarks" / KIND
PACKAGES = (
    "tensorflow",
    "keras",
    "ai-edge-litert",
    "torch",
    "timm",
    "onnxruntime",
    "albumentations",
    "pytorch-metric-learning",
    "flwr",
    "numpy",
    "opencv-python-headless",
)


def main(words: list[str]) -> None:
    """Measure the chosen rows and write the table."""
    KEPT.mkdir(parents=True, exist_ok=True)
    at = 0
    for subject in SUBJECTS:
        for row in importlib.import_module(subject).ROWS:
            at += 1
            if not words or any(word.lower() in row.title.lower() for word in words):
                print(f"{row.title} ...", file=sys.stderr, flush=True)
                kept = KEPT / f"{at:02d}.json"
                kept.write_text(json.dumps(measured(subject, row)))
                print(*as_lines(json.loads(kept.read_text())), sep="\n", flush=True)
    kept_rows = [json.loads(path.read_text()) for path in sorted(KEPT.glob("*.json"))]
    (HERE / f"results_{KIND.lower()}.md").write_text(page(kept_rows))


def measured(subject: str, row: Row) -> dict:
    """Every case of a row, measured `row.rounds` times in turn; the failure's last line for a case that cannot run."""
    started = time.monotonic()
    sixteen = {name for name in row.cases if "bf16" in name or "bfloat16" in name + row.title}
    cases = [name for name in row.cases if sixteen_bits_here() or name not in sixteen]
    prepared = subprocess.run(_command(subject, row.title, ""), check=False, env=_environment())
    if prepared.returncode:
        raise SystemExit(f"{row.title}: could not be prepared")
    workers = {
        name: subprocess.Popen(
            _command(subject, row.title, name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(),
        )
        for name in cases
    }
    ready = {name: worker.stdout.readline() for name, worker in workers.items()}
    running = [name for name, line in ready.items() if line == "ready\n"]
    values: dict[str, list[float]] = {name: [] for name in running}
    for _ in range(row.rounds):
        for name in running:
            workers[name].stdin.write("measure\n")
            workers[name].stdin.flush()
            values[name].append(float(workers[name].stdout.readline()))
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    failed = {name: line.strip() or "ended without a word" for name, line in ready.items() if name not in values}
    failed |= {name: "this processor has no instructions for bfloat16" for name in row.cases if name not in cases}
    return {
        "title": row.title,
        "unit": row.unit,
        "target": row.target,
        "more_is_better": row.more_is_better,
        "values": values,
        "failed": failed,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "minutes": (time.monotonic() - started) / 60,
    }


def sixteen_bits_here() -> bool:
    """Whether bfloat16 is worth measuring: emulated, it takes longer than all other cases together."""
    return any("BF16" in name for name in processor.here().sets)


def work(subject: str, title: str, case: str) -> None:
    """One case: set up, then one number on standard output for each line of standard input."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print what they like
    row = next(row for row in importlib.import_module(subject).ROWS if row.title == title)
    if not case:
        row.prepare()
        return
    try:
        measure = row.cases[case]()
    except Exception as error:
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=answers, flush=True)
        raise
    print("ready", file=answers, flush=True)
    for _ in sys.stdin:
        print(measure(), file=answers, flush=True)
    os._exit(0)  # threads that a case has started, Ray's for one, would keep the process


def ratio(found: dict) -> tuple[str, list[float]] | None:
    """The fastest of the others, and in each round the best of ours as a multiple of it."""
    middle = {name: statistics.median(values) for name, values in found["values"].items()}
    best = max if found["more_is_better"] else min
    ours = [name for name in middle if name.startswith("ours")]
    others = [name for name in middle if not name.startswith("ours")]
    if not ours or not others:
        return None
    mine, peer = best(ours, key=middle.get), best(others, key=middle.get)
    pairs = zip(found["values"][mine], found["values"][peer], strict=True)
    return f"{mine} / {peer}", [a / b for a, b in pairs]


def as_lines(found: dict) -> list[str]:
    """A row as Markdown table lines."""
    compared = ratio(found)
    lines = []
    for name, values in found["values"].items():
        spread = f"{min(values):.4g} to {max(values):.4g}" if len(values) > 1 else ""
        lines.append(f"| | {name} | {statistics.median(values):.4g} | {spread} | |")
    lines += [f"| | {name} | - | not run: {why.replace('|', ' ')[:120]} | |" for name, why in found["failed"].items()]
    head = f"| **{found['title']}** | | {found['unit']} | | {found['target']} |"
    if compared:
        what, ratios = compared
        lines.append(
            f"| | **{what}** | **{statistics.median(ratios):.2f}** | {min(ratios):.2f} to {max(ratios):.2f} | |"
        )
    return [head, *lines]


def page(rows: list[dict]) -> str:
    """The whole table with the facts of the machine."""
    versions = []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    days = sorted({row["when"] for row in rows})
    minutes = sum(row["minutes"] for row in rows)
    return "\n".join(
        [
            f"# Benchmarks on a processor with {KIND}",
            "",
            "Written by `make bench` (README.md); do not edit. Every case is a process of its own; those of a row are",
            "measured in turn. Value: median of the rounds, then smallest and largest. Ratio: best of ours to best of",
            "the others, taken within each round.",
            "",
            f"- machine: {processor.here()}; {', '.join(sorted(processor.here().sets))}; {memory:.0f} GiB, "
            f"{platform.system()}, Python {platform.python_version()}",
            f"- versions: {', '.join(versions)}",
            f"- measured {days[0]} to {days[-1]} (UTC); {minutes:.0f} minutes in all" if days else "",
            "",
            "| what | case | median | spread | target |",
            "|---|---|---|---|---|",
            *(line for row in rows for line in as_lines(row)),
            "",
        ]
    )


def _command(subject: str, title: str, case: str) -> list[str]:
    return [sys.executable, __file__, "--work", subject, title, case]


def _environment() -> dict[str, str]:
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(*sys.argv[2:])
    else:
        main(sys.argv[1:])
