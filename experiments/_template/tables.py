"""The paper's tables as data, and ours beside them; per cent."""

from __future__ import annotations

from cervix_tf.report.tables import Table, line, per_cent
from cervix_tf.run_dir import RunDir, read_json
from experiments._template.config import NETWORKS, Config, result_dir
from experiments._template.data import described

SCORES = {"accuracy": "Accuracy", "macro_f1": "F1 (macro)"}
TABLE_1: dict[str, tuple[float, ...]] = {}  # TODO: network -> the paper's numbers, in the order of SCORES


def of_run(config: Config, out: RunDir) -> list[Table]:
    """Table 1, with what is finished of ours."""
    results = {name: result_dir(config, out, name).metrics for name in NETWORKS}
    metrics = {name: read_json(path)["metrics"] for name, path in results.items() if path.exists()}
    return [
        {
            "number": 1,
            "title": "Results on the test split",
            "columns": list(SCORES.values()),
            "rows": [
                line(
                    name,
                    name,
                    TABLE_1.get(name),
                    [per_cent(metrics[name][score]) for score in SCORES] if name in metrics else None,
                )
                for name in NETWORKS
            ],
            "note": f"Ours: {described(config).text}, {config.optimizer.epochs} epochs, seed {config.seed}.",
        }
    ]
