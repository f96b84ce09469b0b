"""The exclusive or, learnt by one network with each of the three sigmoids.

    python examples/xor_sigmoids.py

sigmoid and ultra_fast_sigmoid learn it. hard_sigmoid need not: where its pre-activation lies
beyond ±2.5 its gradient is exactly zero, and a unit that is there for every pattern stays there.
"""

from __future__ import annotations

import argparse

import jitgraph
import jitgraph.tensor as T
import numpy as np

SIGMOIDS = ("sigmoid", "ultra_fast_sigmoid", "hard_sigmoid")
PATTERNS = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
TARGETS = np.array([1.0, 1.0, 0.0, 0.0])


def build(activation, rate: float, seed: int):
    """The compiled training step (pattern, target) -> cost, and the prediction.

    Weights start uniformly in [0, 1): 3 by 3 (two inputs and a bias to three units) and 4 by 1.
    """
    rng = np.random.RandomState(seed)
    x, y = T.dvector("x"), T.dscalar("y")
    theta1 = jitgraph.shared(rng.rand(3, 3), name="theta1")
    theta2 = jitgraph.shared(rng.rand(4, 1), name="theta2")
    one = np.array([1.0])
    hidden = activation(T.dot(theta1.T, T.concatenate([x, one])))
    out = T.sum(activation(T.dot(theta2.T, T.concatenate([hidden, one]))))
    # Kept off 0 and 1, which hard_sigmoid reaches exactly.
    safe = T.clip(out, 1e-7, 1 - 1e-7)
    cost = T.nnet.binary_crossentropy(safe, y)
    updates = [(t, t - rate * T.grad(cost, wrt=t)) for t in (theta1, theta2)]
    train = jitgraph.function(inputs=[x, y], outputs=cost, updates=updates)
    return train, jitgraph.function(inputs=[x], outputs=out)


def learn(name: str, epochs: int, rate: float, seed: int, quiet: bool) -> float:
    """Train with the sigmoid of this name; return the final mean cost."""
    train, predict = build(getattr(T.nnet, name), rate, seed)
    cost = float("nan")
    for epoch in range(epochs):
        cost = float(np.mean([train(p, t) for p, t in zip(PATTERNS, TARGETS, strict=True)]))
        if not quiet and epoch % (epochs // 8 or 1) == 0:
            print(f"  {name:20s} epoch {epoch:5d}   cost {cost:.4f}")
    values = "  ".join(f"{p.astype(int)} {float(predict(p)):.3f}" for p in PATTERNS)
    print(f"  {name:20s} final cost {cost:.4f}   {values}")
    return cost


def main(epochs: int = 4000, rate: float = 0.5, seed: int = 3, quiet: bool = False) -> dict[str, float]:
    """Train with each sigmoid and return the final costs (ln 2 = 0.693: nothing learnt)."""
    return {name: learn(name, epochs, rate, seed, quiet) for name in SIGMOIDS}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=4000)
    main(parser.parse_args().epochs)
