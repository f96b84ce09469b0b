"""The exclusive or, learnt by one network with each of the three sigmoids.

    python examples/xor_sigmoids.py

All three learn it from small weights. From large weights sigmoid still learns it and hard_sigmoid
does not: where a pre-activation lies beyond ±2.5 the gradient of hard_sigmoid is exactly zero, and
a unit that is there for every pattern stays there. The last column shows how far the weights of
the first layer moved.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

import jitgraph
import jitgraph.tensor as T

PATTERNS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
TARGETS = np.array([1.0, 1.0, 0.0, 0.0])
# The first layer starts uniformly in [low, low + 1). From 3 every hidden pre-activation is at
# least 3, whatever the pattern: the bias alone is that much.
RUNS = (
    ("sigmoid", 0.0),
    ("ultra_fast_sigmoid", 0.0),
    ("hard_sigmoid", 0.0),
    ("sigmoid", 3.0),
    ("hard_sigmoid", 3.0),
)


class Result(NamedTuple):
    """The mean cost after training (nats), and the largest change of a first-layer weight."""

    cost: float
    moved: float


def build(activation, low: float, rate: float, seed: int):
    """The compiled training step (pattern, target) -> cost, the prediction, and the first layer.

    Weights: 3 by 3 (two inputs and a bias to three units) and 4 by 1 (uniform in ±0.5).
    """
    rng = np.random.RandomState(seed)
    x, y = T.dvector("x"), T.dscalar("y")
    theta1 = jitgraph.shared(low + rng.rand(3, 3), name="theta1")
    theta2 = jitgraph.shared(rng.rand(4, 1) - 0.5, name="theta2")
    one = np.array([1.0])
    hidden = activation(T.dot(theta1.T, T.concatenate([x, one])))
    out = T.sum(activation(T.dot(theta2.T, T.concatenate([hidden, one]))))
    # Kept off 0 and 1, which hard_sigmoid reaches exactly.
    safe = T.clip(out, 1e-7, 1 - 1e-7)
    cost = T.nnet.binary_crossentropy(safe, y)
    updates = [(t, t - rate * T.grad(cost, wrt=t)) for t in (theta1, theta2)]
    train = jitgraph.function(inputs=[x, y], outputs=cost, updates=updates)
    return train, jitgraph.function(inputs=[x], outputs=out), theta1


def learn(name: str, low: float, epochs: int, rate: float, seed: int, quiet: bool) -> Result:
    """Train with the sigmoid of this name, from weights in [low, low + 1)."""
    train, predict, theta1 = build(getattr(T.nnet, name), low, rate, seed)
    start, cost = theta1.get_value(), float("nan")
    for epoch in range(epochs):
        cost = float(np.mean([train(p, t) for p, t in zip(PATTERNS, TARGETS, strict=True)]))
        if not quiet and epoch % (epochs // 4 or 1) == 0:
            print(f"  {name:18s} from {low:.0f}   epoch {epoch:5d}   cost {cost:.4f}")
    moved = float(np.abs(theta1.get_value() - start).max())
    values = " ".join(f"{float(predict(p)):.3f}" for p in PATTERNS)
    print(f"  {name:18s} from {low:.0f}   final cost  {cost:.4f}   {values}   moved {moved:.2f}")
    return Result(cost, moved)


def main(
    epochs: int = 4000, rate: float = 0.2, seed: int = 1, quiet: bool = False
) -> dict[tuple[str, float], Result]:
    """Make all runs. A network that has learnt nothing costs at least ln 2 = 0.693."""
    print("predictions are for 01, 10, 11, 00; the targets are 1, 1, 0, 0")
    return {(name, low): learn(name, low, epochs, rate, seed, quiet) for name, low in RUNS}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4000)
    main(parser.parse_args().epochs)
