"""Stages for studies on cervical-cancer images: data, models, training, evaluation, export, report."""

__version__ = "0.1.0"
