"""Recurrent networks, trained by gradients through scan: digits row by row, and text.

    python examples/recurrent.py
    python examples/recurrent.py --cell rnn
    python examples/recurrent.py --text LICENSE

On the digits, the network sees one row of 8 pixels after the other and names the digit after the
eighth. On text it predicts each character from those before it; at the end it writes some lines
itself, each character drawn, inside the loop, from what it has just predicted.

Sources: Elman, Finding structure in time, 1990 (the tanh network); Hochreiter, Schmidhuber, Long
short-term memory, 1997, with the forget gate of Gers, Schmidhuber, Cummins, 2000.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Text, digits, python_topics, text_of

import jitgraph
import jitgraph.tensor as T
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams


def weights(rng: np.random.RandomState, n_in: int, n_out: int, name: str) -> Any:
    """A shared matrix, normal with variance 1 / n_in: products keep the size of their inputs."""
    values = rng.normal(size=(n_in, n_out)) / np.sqrt(n_in)
    return jitgraph.shared(values.astype(jitgraph.config.floatX), name=name)


def bias(values: np.ndarray, name: str) -> Any:
    return jitgraph.shared(values.astype(jitgraph.config.floatX), name=name)


class RNN:
    """h ← tanh(x W + h U + b). One row of x and h for each example."""

    states = 1

    def __init__(self, rng: np.random.RandomState, n_in: int, hidden: int):
        self.hidden = hidden
        self.W = weights(rng, n_in, hidden, "W")
        self.U = weights(rng, hidden, hidden, "U")
        self.b = bias(np.zeros(hidden), "b")
        self.params = [self.W, self.U, self.b]

    def step(self, x: Any, h: Any) -> list[Any]:
        return [T.tanh(T.dot(x, self.W) + T.dot(h, self.U) + self.b)]


class LSTM:
    """c ← f c + i g; h ← o tanh(c), where i, f, o (sigmoid) and g (tanh) are of x W + h U + b."""

    states = 2

    def __init__(self, rng: np.random.RandomState, n_in: int, hidden: int):
        self.hidden = hidden
        self.W = weights(rng, n_in, 4 * hidden, "W")
        self.U = weights(rng, hidden, 4 * hidden, "U")
        # The forget gate starts open, so that gradients reach the first steps from the beginning.
        self.b = bias(np.repeat([0.0, 1.0, 0.0, 0.0], hidden), "b")
        self.params = [self.W, self.U, self.b]

    def step(self, x: Any, h: Any, c: Any) -> list[Any]:
        z = T.dot(x, self.W) + T.dot(h, self.U) + self.b
        i, f, o, g = (z[:, k * self.hidden : (k + 1) * self.hidden] for k in range(4))
        c = T.nnet.sigmoid(f) * c + T.nnet.sigmoid(i) * T.tanh(g)
        return [T.nnet.sigmoid(o) * T.tanh(c), c]


CELLS = {"rnn": RNN, "lstm": LSTM}


def run(cell: Any, x: Any) -> Any:
    """The h of all steps, float[steps, examples, hidden], for x: float[steps, examples, n_in]."""
    start = [T.zeros((x.shape[1], cell.hidden), dtype=x.dtype) for _ in range(cell.states)]
    outputs, _ = jitgraph.scan(
        cell.step, sequences=x, outputs_info=start, name=type(cell).__name__, return_list=True
    )
    return outputs[0]


def adam(cost: Any, params: list[Any], rate: float) -> list[tuple[Any, Any]]:
    """Updates by Adam, decays 0.9 and 0.999 (Kingma, Ba, 2015, algorithm 1).

    The gradient of all parameters together is first cut to length 5 (Pascanu et al., 2013).
    """
    slopes = T.grad(cost, params)
    length = T.sqrt(sum(T.sqr(g).sum() for g in slopes))
    shorten = 5 / T.maximum(5, length)
    time = jitgraph.shared(np.asarray(0, jitgraph.config.floatX), name="time")
    t = time + 1
    updates = [(time, t)]
    for p, g in zip(params, slopes, strict=True):
        g = g * shorten
        m = jitgraph.shared(np.zeros_like(p.get_value()), name=f"m_{p.name}")
        v = jitgraph.shared(np.zeros_like(p.get_value()), name=f"v_{p.name}")
        m_new, v_new = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * T.sqr(g)
        speed = (m_new / (1 - 0.9**t)) / (T.sqrt(v_new / (1 - 0.999**t)) + 1e-8)
        updates += [(m, m_new), (v, v_new), (p, p - rate * speed)]
    return [(s, T.cast(new, s.dtype)) for s, new in updates]


# -- digits row by row ----------------------------------------------------------------------------


def rows(x: Any) -> Any:
    """Digits [examples, 64] as a sequence of their rows, [8, examples, 8]."""
    return x.reshape((x.shape[0], 8, 8)).dimshuffle(1, 0, 2)


def build_digits(
    name: str, hidden: int = 32, rate: float = 0.004, seed: int = 1
) -> tuple[Any, Any]:
    """The training step (examples, labels) -> cost, and (examples, labels) -> error rate."""
    rng = np.random.RandomState(seed)
    x, y = T.matrix("x"), T.ivector("y")
    cell = CELLS[name](rng, 8, hidden)
    V, c = weights(rng, hidden, 10, "V"), bias(np.zeros(10), "c")
    p = T.nnet.softmax(T.dot(run(cell, rows(x))[-1], V) + c)
    cost = T.nnet.categorical_crossentropy(p, y).mean()
    updates = adam(cost, [*cell.params, V, c], rate)
    train = jitgraph.function([x, y], cost, updates=updates, name=f"train_{name}")
    return train, jitgraph.function([x, y], T.neq(T.argmax(p, axis=1), y).mean())


def learn_digits(name: str, epochs: int, hidden: int = 32, quiet: bool = False) -> float:
    """Train on the digits, print the progress, and return the accuracy on the test set."""
    data, batch = digits(), 32
    x, x_test = (a.astype(jitgraph.config.floatX) for a in (data.x, data.x_test))
    train, errors = build_digits(name, hidden)
    started = time.perf_counter()
    for epoch in range(epochs):
        begins = range(0, len(x), batch)
        cost = np.mean([train(x[i : i + batch], data.y[i : i + batch]) for i in begins])
        if not quiet and (epoch % 5 == 0 or epoch == epochs - 1):
            error, seconds = float(errors(x_test, data.y_test)), time.perf_counter() - started
            print(f"epoch {epoch:3d}   cost {cost:.4f}   test error {error:.4f}   {seconds:.2f} s")
    accuracy = 1.0 - float(errors(x_test, data.y_test))
    print(f"final test accuracy of the {name} on digits {accuracy:.3f}")
    return accuracy


# -- characters -----------------------------------------------------------------------------------


class Characters:
    """A network that predicts characters of an alphabet of `size`, and its compiled functions.

    train: (int32[steps, lines] of characters, the same one character on) -> bits a character;
    measure: the same without learning; write: (first character of each line, int32[lines], number
    of characters) -> int64[number, lines].
    """

    def __init__(self, name: str, size: int, hidden: int, rate: float = 0.005, seed: int = 1):
        rng = np.random.RandomState(seed)
        self.cell = CELLS[name](rng, 32, hidden)
        self.letters = weights(rng, size, 32, "letters")
        self.V, self.c = weights(rng, hidden, size, "V"), bias(np.zeros(size), "c")
        now, after = T.imatrix("now"), T.imatrix("after")
        h = run(self.cell, self.letters[now])
        p = self.predict(h.reshape((now.size, hidden)))
        cost = T.nnet.categorical_crossentropy(p, after.flatten()).mean() / np.log(2)
        updates = adam(cost, [*self.cell.params, self.letters, self.V, self.c], rate)
        self.train = jitgraph.function([now, after], cost, updates=updates, name="train_text")
        self.measure = jitgraph.function([now, after], cost, name="measure_text")
        self.write = self._writer(MRG_RandomStreams(seed))

    def predict(self, h: Any) -> Any:
        """Probabilities [n, size] of the next character after each row of h."""
        return T.nnet.softmax(T.dot(h, self.V) + self.c)

    def _writer(self, streams: Any) -> Callable[[np.ndarray, int], np.ndarray]:
        first, n = T.ivector("first"), T.lscalar("n")

        def step(letter: Any, *states: Any) -> list[Any]:
            states = self.cell.step(self.letters[letter], *states)
            drawn = streams.multinomial(pvals=self.predict(states[0]))
            return [T.argmax(drawn, axis=1), *states]

        zeros = T.zeros((first.shape[0], self.cell.hidden), dtype=jitgraph.config.floatX)
        outputs, updates = jitgraph.scan(
            step,
            outputs_info=[T.cast(first, "int64")] + [zeros] * self.cell.states,
            n_steps=n,
            name="write",
        )
        return jitgraph.function([first, n], outputs[0], updates=updates, name="write")


def cut(codes: np.ndarray, begins: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of `steps` characters that start at `begins`, as columns, and the same one later."""
    places = np.arange(steps)[:, None] + begins
    return codes[places], codes[places + 1]


def learn_text(
    name: str, text: Text, epochs: int, hidden: int = 64, lines: int = 3, quiet: bool = False
) -> float:
    """Train on a text, print the progress and some lines of the network's own, and return the
    bits a character on the last tenth of the text, which is not learnt."""
    steps, batch = 40, 16
    network = Characters(name, len(text.alphabet), hidden)
    end = len(text.codes) * 9 // 10
    learnt, test = text.codes[:end], text.codes[end:]
    unseen = cut(test, np.arange(0, len(test) - steps - 1, steps), steps)
    rng = np.random.RandomState(0)
    started = time.perf_counter()
    for epoch in range(epochs):
        # Every piece starts at another place in every epoch.
        begins = rng.permutation(np.arange(rng.randint(steps), end - steps - 1, steps))
        pieces = [begins[i : i + batch] for i in range(0, len(begins), batch)]
        bits = np.mean([network.train(*cut(learnt, piece, steps)) for piece in pieces])
        if not quiet:
            seconds, error = time.perf_counter() - started, float(network.measure(*unseen))
            print(f"epoch {epoch:3d}   bits {bits:.3f}   test bits {error:.3f}   {seconds:.2f} s")
    first = np.full(lines, text.alphabet.index("\n"), dtype="int32")
    if not quiet:
        for column in network.write(first, 70).T:
            print("  |", "".join(text.alphabet[k] for k in column).replace("\n", " / "))
    error = float(network.measure(*unseen))
    print(f"final cost of the {name} on text {error:.3f} bits a character")
    return error


def main(
    cell: str = "lstm",
    epochs: int = 25,
    text_epochs: int = 12,
    text: str | None = None,
    quiet: bool = False,
) -> tuple[float, float]:
    """Train on digits and on text: accuracy, and bits a character, both on unseen examples."""
    accuracy = learn_digits(cell, epochs, quiet=quiet)
    read = python_topics() if text is None else text_of(Path(text).read_text("utf-8"))
    return accuracy, learn_text(cell, read, text_epochs, quiet=quiet)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=sorted(CELLS), default="lstm")
    parser.add_argument("--epochs", type=int, default=25, help="on the digits")
    parser.add_argument("--text-epochs", type=int, default=12)
    parser.add_argument("--text", metavar="FILE", help="another text than that of Python's help")
    main(**vars(parser.parse_args()))
