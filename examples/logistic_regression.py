"""Logistic regression on the breast-cancer data, by gradient descent.

    python examples/logistic_regression.py

The cost is written as the formula stands in the textbook; the compiler finds the stable form, so
saturated predictions give neither nan nor inf.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from datasets import breast_cancer

import jitgraph
import jitgraph.tensor as T


def build(features: int, rate: float, penalty: float):
    """The compiled training step and prediction, and the parameters they share."""
    x, y = T.dmatrix("x"), T.ivector("y")
    w = jitgraph.shared(np.zeros(features), name="w")
    b = jitgraph.shared(0.0, name="b")
    p = 1 / (1 + T.exp(-T.dot(x, w) - b))
    xent = -y * T.log(p) - (1 - y) * T.log(1 - p)
    cost = xent.mean() + penalty * (w**2).sum()
    gw, gb = T.grad(cost, [w, b])
    train = jitgraph.function(
        [x, y], cost, updates=[(w, w - rate * gw), (b, b - rate * gb)], name="train"
    )
    predict = jitgraph.function([x], p > 0.5, name="predict")
    return train, predict, (w, b)


def main(
    steps: int = 2000, rate: float = 0.1, penalty: float = 0.001, quiet: bool = False
) -> float:
    """Train, print the progress, and return the accuracy on the test set."""
    data = breast_cancer()
    train, predict, _ = build(data.x.shape[1], rate, penalty)
    report = train.compile_report()
    if not quiet:
        print(f"compiled in {report['total']:.0f} ms (cache {report['cache']})")
    started = time.perf_counter()
    for step in range(steps):
        cost = train(data.x, data.y)
        if not quiet and (step % (steps // 8 or 1) == 0 or step == steps - 1):
            accuracy = (predict(data.x_test) == data.y_test).mean()
            print(f"step {step:5d}   cost {float(cost):.4f}   test accuracy {accuracy:.3f}")
    seconds = time.perf_counter() - started
    accuracy = float((predict(data.x_test) == data.y_test).mean())
    print(f"final test accuracy {accuracy:.3f}   ({seconds / steps * 1e6:.0f} µs a step)")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    main(parser.parse_args().steps)
