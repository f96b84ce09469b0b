"""Pictures of the examples: 8 by 8 digits as text, and many of them as one image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

SHADES = " .:-=+*#%@"


def text_picture(image: np.ndarray) -> list[str]:
    """8 by 8 values in [0, 1] as lines of text."""
    levels = np.clip((image * len(SHADES)).astype(int), 0, len(SHADES) - 1).reshape(8, 8)
    return ["".join(SHADES[k] * 2 for k in row) for row in levels]


def text_pictures(images: np.ndarray) -> list[str]:
    """Several of them, side by side."""
    return ["  ".join(row) for row in zip(*map(text_picture, images), strict=True)]


def save_tiles(path: Path, images: np.ndarray, columns: int) -> str:
    """Save 8 by 8 images, [n, 64], in one file, each with its own range of grey; says what it did.

    Without matplotlib nothing is saved.
    """
    try:
        from matplotlib import pyplot
    except ImportError:
        return f"{path} needs matplotlib: pip install 'jitgraph[plot]'"
    rows = -(-len(images) // columns)
    size = (columns * 0.6, rows * 0.6)
    figure, axes = pyplot.subplots(rows, columns, figsize=size, squeeze=False)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.99, 0.1, 0.1)
    for cell in axes.flat:
        cell.axis("off")
    for cell, image in zip(axes.flat, images, strict=False):
        cell.imshow(image.reshape(8, 8), cmap="gray", interpolation="nearest")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return f"saved {path}"
