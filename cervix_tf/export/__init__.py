"""A finished run as files that others can use: SavedModel and TFLite, checked against the run's own predictions."""

from cervix_tf.export.formats import FORMATS, run

__all__ = ["FORMATS", "run"]
