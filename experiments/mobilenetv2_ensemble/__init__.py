"""Buiu, Dănăilă, Răduță. MobileNetV2 Ensemble for Cervical Precancerous Lesions Classification.

Processes 2020, 8, 595.
"""
