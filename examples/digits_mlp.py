"""A two-layer network on the handwritten digits, trained with mini-batches.

    python examples/digits_mlp.py

The data live in shared variables; each call picks its mini-batch by index through `givens`.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from datasets import digits

import jitgraph
import jitgraph.tensor as T


def layer(rng: np.random.RandomState, n_in: int, n_out: int, name: str):
    """Weights drawn uniformly within ±sqrt(6 / (n_in + n_out)), and zero biases.

    Source: Glorot, Bengio 2010.
    """
    bound = np.sqrt(6.0 / (n_in + n_out))
    w = jitgraph.shared(rng.uniform(-bound, bound, (n_in, n_out)), name=f"W_{name}")
    return w, jitgraph.shared(np.zeros(n_out), name=f"b_{name}")


def build(data, hidden: int, batch: int, rate: float, momentum: float):
    """The compiled training step (of a batch number) and the error rate on the test set."""
    rng = np.random.RandomState(1)
    x, y, number = T.dmatrix("x"), T.ivector("y"), T.lscalar("number")
    w1, b1 = layer(rng, data.x.shape[1], hidden, "hidden")
    w2, b2 = layer(rng, hidden, 10, "out")
    p = T.nnet.softmax(T.dot(T.tanh(T.dot(x, w1) + b1), w2) + b2)
    cost = T.nnet.categorical_crossentropy(p, y).mean()
    errors = T.neq(T.argmax(p, axis=1), y).mean()
    updates = []
    parameters = [w1, b1, w2, b2]
    for parameter, gradient in zip(parameters, T.grad(cost, parameters), strict=True):
        speed = jitgraph.shared(np.zeros_like(parameter.get_value()))
        new_speed = momentum * speed - rate * gradient
        updates += [(speed, new_speed), (parameter, parameter + new_speed)]
    all_x, all_y = jitgraph.shared(data.x), jitgraph.shared(data.y)
    begin, end = number * batch, (number + 1) * batch
    train = jitgraph.function(
        [number], cost, updates=updates, givens={x: all_x[begin:end], y: all_y[begin:end]}
    )
    test = jitgraph.function([x, y], errors)
    return train, test


def main(epochs: int = 30, hidden: int = 64, batch: int = 32, quiet: bool = False) -> float:
    """Train, print the progress, and return the accuracy on the test set."""
    data = digits()
    train, test = build(data, hidden, batch, rate=0.1, momentum=0.9)
    started = time.perf_counter()
    batches = len(data.x) // batch
    for epoch in range(epochs):
        cost = np.mean([train(k) for k in range(batches)])
        if not quiet and (epoch % 5 == 0 or epoch == epochs - 1):
            error = float(test(data.x_test, data.y_test))
            print(f"epoch {epoch:3d}   cost {cost:.4f}   test error {error:.4f}")
    seconds = time.perf_counter() - started
    accuracy = 1.0 - float(test(data.x_test, data.y_test))
    print(
        f"final test accuracy {accuracy:.3f}   ({seconds / (epochs * batches) * 1e6:.0f} µs a step)"
    )
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    main(parser.parse_args().epochs)
