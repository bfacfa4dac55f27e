"""Pure functions of predictions and embeddings: metrics, intervals, calibration, nearest neighbors."""
