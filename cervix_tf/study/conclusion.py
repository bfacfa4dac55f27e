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
    own = [formatting.headline(read_object(out.metrics))] if out.metrics.exists() else []
    print("\n".join([title, *words, *own, f"run {out.root}", f"report {report}"]))
    for name, path in (("SavedModel", out.saved_model), ("TFLite", out.tflite()), ("neighbors", out.neighbors)):
        if path.exists():
            print(f"{name} {path}")
