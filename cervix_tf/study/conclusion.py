"""How every study ends: tables, model card and report, and the words on the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cervix_tf.export import model_card
from cervix_tf.report import formatting, page, tables
from cervix_tf.report.tables import Table
from cervix_tf.run_dir import RunDir, read_object


def write_report(title: str, found: Sequence[Table], out: RunDir, *words: str) -> None:
    """Write tables, model card and report of what is finished; print what a reader wants to know first.

    `words` are printed after the title. They stand even where an exported file was refused: without a contract
    there is no model card.
    """
    tables.write(out.tables, found)
    tables.console(found)
    if out.contract.exists() and out.metrics.exists():
        model_card.write(out)
    report = page.run(out)
    print("\n".join([title, *words, *_headline(out), f"run {out.root}", f"report {report}"]))
    for name, path in (("SavedModel", out.saved_model), ("TFLite", out.tflite()), ("neighbors", out.neighbors)):
        if path.exists():
            print(f"{name} {path}")


def _headline(out: RunDir) -> list[str]:
    """The test accuracy of the run's own model, and on what; nothing where the run has none."""
    if not out.metrics.exists():
        return []
    found = read_object(out.metrics)
    accuracy = found["metrics"]["accuracy"]
    label = "SYNTHETIC, " if found["synthetic"] else "STAND-IN, " if found["stand_in"] else ""
    right = f"{formatting.value('accuracy', accuracy)} {formatting.interval('accuracy', accuracy)}".rstrip()
    return [f"accuracy {right}, n = {found['n']} ({label}{found['data']})"]
