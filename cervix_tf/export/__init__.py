"""A finished run as files that others can use (SavedModel, TFLite, ONNX), checked against the run's predictions."""

from cervix_tf.export.formats import FORMATS, run

__all__ = ["FORMATS", "run"]
