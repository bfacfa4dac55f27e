"""Ours beside the paper's tables, which are data in `published.yaml`; percent."""

from __future__ import annotations

from cervix_tf.report.tables import Table, line, per_cent, table
from cervix_tf.run_dir import RunDir, read_json
from experiments._template.config import NETWORKS, PUBLISHED, Config, result_dir
from experiments._template.data import described

SCORES = {"accuracy": "Accuracy", "macro_f1": "F1 (macro)"}


def of_run(config: Config, out: RunDir) -> list[Table]:
    """Table 1, with what is finished of ours."""
    rows = []
    for name in NETWORKS:
        path, ours = result_dir(config, out, name).metrics, None
        if path.exists():
            metrics = read_json(path)["metrics"]
            ours = [per_cent(metrics[score]) for score in SCORES]
        rows.append(line(name, name, PUBLISHED.table_1.get(name), ours))
    note = f"Ours: {described(config).text}, {config.optimizer.epochs} epochs, seed {config.seed}."
    return [table(1, "Results on the test split", SCORES.values(), rows, note)]
