"""The data of the examples: sets that ship inside scikit-learn, scaled and split."""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Inputs and labels for training and for the test."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def _sklearn_datasets():
    try:
        from sklearn import datasets
    except ImportError:
        sys.exit("This example needs scikit-learn: pip install 'jitgraph[examples]'")
    return datasets


def _split(x: np.ndarray, y: np.ndarray, test_share: float, seed: int) -> Split:
    order = np.random.RandomState(seed).permutation(len(x))
    n = int(len(x) * (1 - test_share))
    train, test = order[:n], order[n:]
    return Split(x[train], y[train], x[test], y[test])


def breast_cancer(test_share: float = 0.3, seed: int = 0) -> Split:
    """569 tumours, 30 measurements each; label 1: benign. Columns have mean 0 and deviation 1.

    Source: Wolberg, Street, Mangasarian, Breast Cancer Wisconsin (Diagnostic), UCI, 1995.
    """
    data = _sklearn_datasets().load_breast_cancer()
    split = _split(data.data, data.target.astype("int32"), test_share, seed)
    mean, deviation = split.x.mean(axis=0), split.x.std(axis=0)
    return split._replace(x=(split.x - mean) / deviation, x_test=(split.x_test - mean) / deviation)


def digits(test_share: float = 0.3, seed: int = 0) -> Split:
    """1797 handwritten digits of 8 by 8 pixels, scaled to [0, 1]; label 0 … 9.

    Source: Alpaydin, Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    """
    data = _sklearn_datasets().load_digits()
    return _split(data.data / 16.0, data.target.astype("int32"), test_share, seed)


class Text(NamedTuple):
    """A text as int32 indices into the characters that occur in it."""

    codes: np.ndarray
    alphabet: str


def text_of(characters: str) -> Text:
    """ValueError for a text too short to learn from: less than 1000 characters."""
    if len(characters) < 1000:
        raise ValueError(f"a text of {len(characters)} characters: at least 1000 are needed")
    alphabet = "".join(sorted({"\n", *characters}))
    place = {c: k for k, c in enumerate(alphabet)}
    return Text(np.array([place[c] for c in characters], dtype="int32"), alphabet)


def python_topics(length: int = 100_000) -> Text:
    """The beginning of the chapters that Python's own help() shows, characters of ASCII only.

    Source: The Python Language Reference, in the module pydoc_data.topics of every Python.
    """
    from pydoc_data.topics import topics

    joined = "\n".join(topics[name] for name in sorted(topics))
    return text_of("".join(c for c in joined if c == "\n" or " " <= c <= "~")[:length])
