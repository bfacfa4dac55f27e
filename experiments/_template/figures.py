"""The paper's figures from our numbers."""

from __future__ import annotations

from cervix_tf import history_file
from cervix_tf.report import figures, paper_figures
from cervix_tf.run_dir import RunDir
from experiments._template.config import NETWORKS, Config


def draw(config: Config, out: RunDir) -> None:
    """Write the training curves of each row that has been trained into the run."""
    paths = {row: out.row(row).history for row in NETWORKS}
    histories = {row: history_file.read(path) for row, path in paths.items() if path.exists()}
    drawn = {f"Fig. 1 {row}": figures.training(row, [each], "val_loss") for row, each in histories.items()}
    paper_figures.write(out, drawn)
