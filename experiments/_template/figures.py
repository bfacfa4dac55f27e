"""The paper's figures from our numbers."""

from __future__ import annotations

import pandas as pd

from cervix_tf.report import figures, paper_figures
from cervix_tf.run_dir import RunDir
from experiments._template.config import NETWORKS, Config


def draw(config: Config, out: RunDir) -> None:
    """Write the training curves of each row that has been trained into the run."""
    histories = {row: out.row(row).history for row in NETWORKS if out.row(row).history.exists()}
    paper_figures.write(
        out,
        {f"Fig. 1 {row}": figures.training(row, [pd.read_csv(path)], "val_loss") for row, path in histories.items()},
    )
