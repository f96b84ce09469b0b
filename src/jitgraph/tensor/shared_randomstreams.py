"""Random streams: draws whose state is kept in shared variables and advances with every call.

>>> srng = RandomStreams(seed=234)
>>> rv_u = srng.uniform((2, 2))
>>> f = jitgraph.function([], rv_u)      # every f() gives new numbers
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import RandomState

from jitgraph.graph import Container, Variable
from jitgraph.op import here
from jitgraph.ops.random import copy_state, random_state_type
from jitgraph.tensor.raw_random import RandomStreamsBase
from jitgraph.tensor.sharing import GenericSharedVariable, shared, shared_constructor


class RandomStateSharedVariable(GenericSharedVariable):
    """A shared variable that holds a `numpy.random.RandomState`."""

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> RandomState:
        """A copy of the state, or with `borrow` the state itself."""
        return self.container.data if borrow else copy_state(self.container.data)

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Store a copy of the state, or with `borrow` the state itself; TypeError for others."""
        state = random_state_type.filter(new_value)
        self.container.data = state if borrow else copy_state(state)


@shared_constructor
def random_state_constructor(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: Any = None,
    borrow: bool = False,
) -> RandomStateSharedVariable:
    if not isinstance(value, RandomState):
        raise TypeError("not a RandomState")
    state = value if borrow else copy_state(value)
    return RandomStateSharedVariable(random_state_type, Container(state), name)


class RandomStreams(RandomStreamsBase):
    """Draws with a state each; the states are seeded by one generator, in order of creation.

    Draw number k starts from RandomState(s_k), where s_0, s_1, … are the successive
    `RandomState(seed).randint(2**30)`. Every function that computes a draw advances its state,
    unless compiled with `no_default_updates=True`.
    """

    def __init__(self, seed: Any = None):
        """`seed`: what `numpy.random.RandomState` takes; None asks the operating system.

        Raises TypeError or ValueError for a seed that NumPy refuses.
        """
        self.gen_seedgen = _seeded(seed)
        self.state_updates: list[tuple[Any, Variable]] = []
        self.default_instance_seed = seed
        self._children = 0

    def updates(self) -> list[tuple[Any, Variable]]:
        """(state, its successor) for every draw so far, for `function(updates=…)`."""
        return list(self.state_updates)

    def seed(self, seed: Any = None) -> None:
        """Give every stream made so far a new state; None: from the seed of the constructor.

        Streams made later go on in the old order of seeds.
        """
        seeds = _seeded(self.default_instance_seed if seed is None else seed)
        for state, _ in self.state_updates:
            state.set_value(RandomState(int(seeds.randint(2**30))), borrow=True)

    def spawn(self, n: int) -> list[RandomStreams]:
        """`n` streams for workers, whose numbers have nothing to do with these.

        Their seeds are hashed, by `numpy.random.SeedSequence`, from the seed of the constructor
        and their number, counted over all calls: workers of workers differ as well.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"spawn: n must be a number of streams, got {n!r}{here()}")
        seed = self.default_instance_seed
        if seed is None:  # from the operating system: any seed will do
            seed = self.default_instance_seed = [
                int(x) for x in _seeded(None).randint(2**31, size=4)
            ]
        words = np.atleast_1d(np.asarray(seed)).ravel().tolist()
        first, self._children = self._children, self._children + int(n)
        return [
            type(self)(np.random.SeedSequence(words, spawn_key=(k,)).generate_state(4).tolist())
            for k in range(first, self._children)
        ]

    def __getitem__(self, item: Any) -> RandomState:
        """The state itself that `item` (the `.rng` of a draw) holds."""
        return item.get_value(borrow=True)

    def __setitem__(self, item: Any, value: RandomState) -> None:
        item.set_value(value, borrow=True)

    def gen(self, op: Any, *args: Any, **kwargs: Any) -> Any:
        """The draw of `op(state, *args, **kwargs)`, which returns (new state, draw).

        The draw knows its shared state as `.rng` and the pair (state, new state) as `.update`.
        """
        state = shared(RandomState(int(self.gen_seedgen.randint(2**30))), borrow=True)
        new_state, draw = op(state, *args, **kwargs)
        draw.rng = state
        draw.update = (state, new_state)
        self.state_updates.append(draw.update)
        state.default_update = new_state
        state.tag.is_rng = True
        return draw


def _seeded(seed: Any) -> RandomState:
    try:
        return RandomState(seed)
    except (TypeError, ValueError) as error:
        raise type(error)(f"seed: {error}, got {seed!r}{here()}") from None


__all__ = ["RandomStateSharedVariable", "RandomStreams", "random_state_constructor"]
