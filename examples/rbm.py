"""A restricted Boltzmann machine on the handwritten digits: contrastive divergence with scan.

    python examples/rbm.py
    python examples/rbm.py --persistent --k 15 --out pictures

Binary units v and h with the energy E(v, h) = -v·b - h·c - v W h. The gradient of the likelihood is
the slope of the free energy at the data minus its mean under the model, and a few steps of Gibbs
sampling stand for the model: started from the data (CD-k), or going on from where the last call
ended (persistent CD).

Sources: Hinton, Training products of experts by minimizing contrastive divergence, 2002 (CD-k);
Tieleman, Training restricted Boltzmann machines using approximations to the likelihood gradient,
2008 (persistent); the Deep Learning Tutorials, chapter RBM, 2010 (the names of the methods).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from datasets import Split, digits
from pictures import save_tiles, text_pictures

import jitgraph
import jitgraph.tensor as T
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams


class RBM:
    """The shared parameters, and expressions of them.

    W: float[n_visible, n_hidden]; vbias, hbias: vectors. `input` is a matrix, one row an example
    with values in [0, 1]. `streams` makes the draws: MRG_RandomStreams or RandomStreams.
    """

    def __init__(
        self, input: Any, n_visible: int, n_hidden: int, rng: np.random.RandomState, streams: Any
    ):
        dtype = jitgraph.config.floatX
        # Hinton, A practical guide to training restricted Boltzmann machines, 2010, section 8.
        weights = 0.01 * rng.normal(size=(n_visible, n_hidden))
        self.input, self.n_visible, self.n_hidden, self.streams = (
            input,
            n_visible,
            n_hidden,
            streams,
        )
        self.W = jitgraph.shared(weights.astype(dtype), name="W")
        self.hbias = jitgraph.shared(np.zeros(n_hidden, dtype), name="hbias")
        self.vbias = jitgraph.shared(np.zeros(n_visible, dtype), name="vbias")
        self.params = [self.W, self.hbias, self.vbias]

    def free_energy(self, v: Any) -> Any:
        """-log of the sum over all h of exp(-E(v, h)), for each row of v."""
        hidden = T.log(1 + T.exp(T.dot(v, self.W) + self.hbias)).sum(axis=1)
        return -hidden - T.dot(v, self.vbias)

    # -- conditional distributions, and samples of them --
    def propup(self, v: Any) -> tuple[Any, Any]:
        """The pre-activations of the hidden units and their probabilities of being 1."""
        pre = T.dot(v, self.W) + self.hbias
        return pre, T.nnet.sigmoid(pre)

    def propdown(self, h: Any) -> tuple[Any, Any]:
        pre = T.dot(h, self.W.T) + self.vbias
        return pre, T.nnet.sigmoid(pre)

    def sample_h_given_v(self, v: Any) -> list[Any]:
        """Pre-activations, means, and a draw of 0s and 1s."""
        pre, mean = self.propup(v)
        return [pre, mean, self._coins(mean)]

    def sample_v_given_h(self, h: Any) -> list[Any]:
        pre, mean = self.propdown(h)
        return [pre, mean, self._coins(mean)]

    def _coins(self, mean: Any) -> Any:
        return self.streams.binomial(size=mean.shape, n=1, p=mean, dtype=jitgraph.config.floatX)

    def gibbs_hvh(self, h: Any) -> list[Any]:
        """One step of the chain that starts from a state of the hidden units."""
        down = self.sample_v_given_h(h)
        return down + self.sample_h_given_v(down[2])

    def gibbs_vhv(self, v: Any) -> list[Any]:
        """One step of the chain that starts from a state of the visible units."""
        up = self.sample_h_given_v(v)
        return up + self.sample_v_given_h(up[2])

    # -- learning --
    def get_cost_updates(
        self, rate: float, k: int, persistent: Any = None
    ) -> tuple[list[Any], dict[Any, Any]]:
        """What to watch, and the updates of one step of gradient descent.

        `persistent`: a shared matrix with a state of the hidden units for each chain; None starts
        the chains at the data. The first is pseudo-likelihood, if the chains are persistent; else
        two forms of the reconstruction cost, from pre-activations and from means.
        """
        start = self.sample_h_given_v(self.input)[2] if persistent is None else persistent
        (pre_v, mean_v, v, _, _, h), updates = jitgraph.scan(
            self.gibbs_hvh, outputs_info=[None] * 5 + [start], n_steps=k, name="gibbs_hvh"
        )
        chain_end = v[-1]
        cost = self.free_energy(self.input).mean() - self.free_energy(chain_end).mean()
        # The end of the chain depends on the parameters, but is a sample: no gradient goes there.
        slopes = T.grad(cost, self.params, consider_constant=[chain_end])
        for parameter, slope in zip(self.params, slopes, strict=True):
            updates[parameter] = parameter - rate * slope
        if persistent is None:
            watch = [
                self.get_reconstruction_cost(pre_v[-1]),
                self.get_reconstruction_cost_of_means(mean_v[-1]),
            ]
        else:
            updates[persistent] = h[-1]
            watch = [self.get_pseudo_likelihood_cost(updates)]
        return watch, updates

    # -- what is watched --
    def get_pseudo_likelihood_cost(self, updates: dict[Any, Any]) -> Any:
        """log P(v_i | all other units), n_visible times, for one unit i, which moves on each call.

        P(v_i | rest) = sigmoid(F(v with unit i flipped) - F(v)), F the free energy.
        """
        unit = jitgraph.shared(np.int64(0), name="unit")
        updates[unit] = (unit + 1) % self.n_visible
        return self.log_conditional(unit).mean() * self.n_visible

    def log_conditional(self, unit: Any) -> Any:
        """log P(v_unit | the other units of v) for each row v of the input, rounded to 0 and 1."""
        v = T.round(self.input)
        flipped = T.set_subtensor(v[:, unit], 1 - v[:, unit])
        return T.log(T.nnet.sigmoid(self.free_energy(flipped) - self.free_energy(v)))

    def pseudo_likelihood(self) -> Any:
        """The sum of log P(v_i | the other units) over all units i, mean over the input (nats)."""
        terms, _ = jitgraph.map(
            lambda i: self.log_conditional(i).mean(), sequences=T.arange(self.n_visible)
        )
        return terms.sum()

    def get_reconstruction_cost(self, pre_v: Any) -> Any:
        """Cross-entropy of the input and sigmoid(pre_v), mean over the rows (nats)."""
        return self.get_reconstruction_cost_of_means(T.nnet.sigmoid(pre_v))

    def get_reconstruction_cost_of_means(self, mean_v: Any) -> Any:
        """The same from the probabilities: where the sigmoid was taken inside a loop, its logarithm
        is as stable as here."""
        x = self.input
        return -(x * T.log(mean_v) + (1 - x) * T.log(1 - mean_v)).sum(axis=1).mean()


class Machine(NamedTuple):
    """An RBM with its compiled functions."""

    rbm: RBM
    train: Any  # (number of the mini-batch) -> what get_cost_updates watches
    measure: Any  # (examples) -> reconstruction cross-entropy, pseudo-likelihood (nats an example)
    seconds: float  # taken to build and compile


def build(
    data: np.ndarray,
    hidden: int,
    batch: int,
    k: int,
    persistent: bool,
    rate: float = 0.1,
    seed: int = 1,
    streams: Any = MRG_RandomStreams,
) -> Machine:
    """The machine and its functions; `data`: float[examples, pixels] in [0, 1]."""
    started = time.perf_counter()
    dtype = jitgraph.config.floatX
    x, number = T.matrix("x"), T.lscalar("number")
    rbm = RBM(x, data.shape[1], hidden, np.random.RandomState(seed), streams(seed))
    chains = None
    if persistent:
        chains = jitgraph.shared(np.zeros((batch, hidden), dtype), name="chains")
    watch, updates = rbm.get_cost_updates(rate, k, chains)
    examples = jitgraph.shared(data.astype(dtype), name="examples")
    train = jitgraph.function(
        [number],
        watch,
        updates=updates,
        givens={x: examples[number * batch : (number + 1) * batch]},
        name="train",
    )
    reconstruction = rbm.propdown(rbm.propup(x)[1])[1]
    measure = jitgraph.function(
        [x],
        [rbm.get_reconstruction_cost_of_means(reconstruction), rbm.pseudo_likelihood()],
        name="measure",
    )
    return Machine(rbm, train, measure, time.perf_counter() - started)


def sampler(rbm: RBM, start: np.ndarray, steps: int) -> Any:
    """A function () -> probabilities of the visible units, `steps` further in chains from `start`.

    start: 0s and 1s, [chains, n_visible].
    """
    state = jitgraph.shared(start.astype(jitgraph.config.floatX), name="state")
    (_, _, _, _, mean_v, v), updates = jitgraph.scan(
        rbm.gibbs_vhv, outputs_info=[None] * 5 + [state], n_steps=steps, name="gibbs_vhv"
    )
    updates[state] = v[-1]
    return jitgraph.function([], mean_v[-1], updates=updates, name="sample")


class Result(NamedTuple):
    """Means over the test set in nats an example, before and after training."""

    reconstruction: tuple[float, float]
    pseudo_likelihood: tuple[float, float]
    difference: float  # the largest between the two forms of the reconstruction cost
    samples: np.ndarray  # float[rows, chains, pixels], probabilities of a long chain


def learn(machine: Machine, batches: int, epochs: int, quiet: bool) -> float:
    """Train, one line an epoch; the largest difference of the two costs, 0 if one is watched."""
    difference, name = 0.0, "pseudo-likelihood"
    for epoch in range(epochs):
        started = time.perf_counter()
        costs = np.array([machine.train(i) for i in range(batches)])
        seconds = time.perf_counter() - started
        if costs.shape[1] == 2:
            name = "reconstruction cost"
            difference = max(difference, float(np.abs(costs[:, 0] - costs[:, 1]).max()))
        if not quiet:
            print(f"epoch {epoch:3d}   {name} {costs[:, 0].mean():8.3f}   {seconds:.3f} s")
    return difference


def main(
    epochs: int = 30,
    hidden: int = 100,
    k: int = 1,
    persistent: bool = False,
    out: str | None = None,
    seed: int = 1,
    quiet: bool = False,
) -> Result:
    """Train, print the progress and samples, save pictures in the folder `out` if given."""
    data: Split = digits()
    batch = 20
    machine = build(data.x, hidden, batch, k, persistent, seed=seed)
    if not quiet:
        print(f"compiled in {machine.seconds:.2f} s")
    before = [float(m) for m in machine.measure(data.x_test)]
    difference = learn(machine, len(data.x) // batch, epochs, quiet)
    after = [float(m) for m in machine.measure(data.x_test)]
    # Chains start from digits of the test set; rows of pictures are 200 steps apart.
    sample = sampler(machine.rbm, np.round(data.x_test[:10]), steps=200)
    samples = np.array([sample() for _ in range(10)])
    if not quiet:
        print("samples after 2000 steps of Gibbs sampling:")
        print("\n".join(text_pictures(samples[-1][:5])))
        if not persistent:
            print(f"the two forms of the reconstruction cost differ by {difference:.1e} at most")
    if out is not None:
        save(Path(out), machine.rbm, samples)
    print(
        f"final reconstruction cross-entropy {before[0]:.2f} → {after[0]:.2f}, "
        f"pseudo-likelihood {before[1]:.2f} → {after[1]:.2f} (nats an example of the test set)"
    )
    return Result((before[0], after[0]), (before[1], after[1]), difference, samples)


def save(folder: Path, rbm: RBM, samples: np.ndarray) -> None:
    """Pictures of the filters and of the samples, if matplotlib is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    filters = rbm.W.get_value().T
    for name, rows in (("filters", filters), ("samples", samples.reshape(-1, rbm.n_visible))):
        print(save_tiles(folder / f"rbm_{name}.png", rows, columns=10))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--hidden", type=int, default=100, help="number of hidden units")
    parser.add_argument("--k", type=int, default=1, help="steps of Gibbs sampling for an update")
    parser.add_argument("--persistent", action="store_true", help="chains go on between updates")
    parser.add_argument("--out", metavar="DIR", help="folder for pictures of filters and samples")
    parser.add_argument("--seed", type=int, default=1)
    main(**vars(parser.parse_args()))
