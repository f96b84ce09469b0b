"""An auto-associator of the handwritten digits, trained on the reconstruction cross-entropy.

    python examples/autoassociator.py

64 pixels are squeezed through 24 hidden units and put together again; binary_crossentropy of a
sigmoid stays finite however sure the network is.
"""

from __future__ import annotations

import argparse

import numpy as np
from datasets import digits
from pictures import text_picture

import jitgraph
import jitgraph.tensor as T


def build(pixels: int, hidden: int, rate: float):
    """The compiled training step and the reconstruction."""
    rng = np.random.RandomState(2)
    x = T.dmatrix("x")
    w = jitgraph.shared(rng.uniform(-0.3, 0.3, (pixels, hidden)), name="W")
    v = jitgraph.shared(rng.uniform(-0.3, 0.3, (hidden, pixels)), name="V")
    b = jitgraph.shared(np.zeros(hidden), name="b")
    c = jitgraph.shared(np.zeros(pixels), name="c")
    h = T.nnet.sigmoid(T.dot(x, w) + b)
    r = T.nnet.sigmoid(T.dot(h, v) + c)
    cost = T.nnet.binary_crossentropy(r, x).sum(axis=1).mean()
    parameters = [w, v, b, c]
    updates = [(p, p - rate * g) for p, g in zip(parameters, T.grad(cost, parameters), strict=True)]
    return jitgraph.function([x], cost, updates=updates), jitgraph.function([x], r)


def main(epochs: int = 100, hidden: int = 24, batch: int = 20, quiet: bool = False) -> float:
    """Train, print the progress and a few reconstructions, and return the final cost (nats)."""
    data = digits()
    train, reconstruct = build(data.x.shape[1], hidden, rate=0.1)
    cost = float("nan")
    for epoch in range(epochs):
        costs = [train(data.x[k : k + batch]) for k in range(0, len(data.x), batch)]
        cost = float(np.mean(costs))
        if not quiet and (epoch % 20 == 0 or epoch == epochs - 1):
            print(f"epoch {epoch:3d}   reconstruction cross-entropy {cost:.3f}")
    if not quiet:
        for k in range(3):
            shown = data.x_test[k], reconstruct(data.x_test)[k]
            pair = zip(*map(text_picture, shown), strict=True)
            print("\n".join(f"{left}  →  {right}" for left, right in pair), end="\n\n")
    print(f"final reconstruction cross-entropy {cost:.3f}")
    return cost


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    main(parser.parse_args().epochs)
