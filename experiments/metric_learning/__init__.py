"""Pal, Xue, Befano, Rodriguez, Long, Schiffman, Antani. Deep Metric Learning for Cervical Image Classification.

IEEE Access 2021, doi 10.1109/ACCESS.2021.3069346.
"""
