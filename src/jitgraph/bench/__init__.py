"""Measurements of time and precision that can be repeated and argued with."""
