"""Options of the configuration that change what happens outside of compilation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags


def test_cast_policy_decides_the_dtype_of_numbers():
    x = T.fvector("x")
    numbers = (1, 2**40, 0.5, 0.1)
    custom = [(x * n).dtype for n in numbers]
    assert custom == ["float32", "float64", "float32", "float64"]
    with change_flags(cast_policy="numpy+floatX", floatX="float32"):
        assert [(x * n).dtype for n in numbers] == ["float64", "float64", "float32", "float32"]
        assert T.constant(np.float64(1)).dtype == "float64"  # arrays keep theirs
        with pytest.raises(OverflowError):
            x * 2**70
    with change_flags(cast_policy="numpy+floatX"):
        assert (x * 0.5).dtype == "float64" and T.constant(1).dtype == "int64"


def test_warn_float64(monkeypatch):
    x = T.fvector("x")
    with change_flags(warn_float64="raise"):
        assert (x * 0.5).dtype == "float32"
        for make in (lambda: x * 0.1, lambda: T.dscalar("d"), lambda: T.iscalar() / 2):
            with pytest.raises(Exception, match=r"float64 dtype.*test_options\.py:\d+"):
                make()
    with change_flags(warn_float64="warn"), pytest.warns(UserWarning, match="warn_float64=warn"):
        T.dscalar("d")
    opened = []
    monkeypatch.setattr("sys.breakpointhook", lambda *a, **k: opened.append(True))
    with change_flags(warn_float64="pdb"):
        T.dscalar("d")
    assert opened


def layer(x, w):
    return T.dot(x, w)  # the place of the failing operation


def test_exception_verbosity_adds_callers_graph_and_sizes():
    x = T.dmatrix("x")
    w = jitgraph.shared(np.ones((3, 2)), name="w")
    f = jitgraph.function([x], T.tanh(layer(x * 2, w)))
    with pytest.raises(ValueError, match="inner sizes differ") as low:
        f(np.ones((5, 4)))
    assert "\n" not in str(low.value)
    with (
        change_flags(exception_verbosity="high"),
        pytest.raises(ValueError, match="inner sizes differ") as high,
    ):
        f(np.ones((5, 4)))
    first, *more = str(high.value).split("\n")
    assert first == str(low.value)
    lines = [line for line in more if "test_options.py:" in line]
    places = [int(line.rpartition(":")[2]) for line in lines]
    source = Path(__file__).read_text().split("\n")
    assert "T.dot(x, w)" in source[places[0] - 1] and "T.tanh(layer(" in source[places[1] - 1]
    text = "\n".join(more)
    assert "dot [id A]" in text and " | |x [id C]" in text
    assert " - x, input, float64, Shape: (5, 4), TotalSize: 160 Byte" in text
    assert " - w, shared, float64, Shape: (3, 2), TotalSize: 48 Byte" in text
    assert text.endswith(" TotalSize: 208 Byte")
    # The error itself tells the same, afterwards.
    assert low.value.explain() == high.value.explain() == str(high.value)


def test_exception_verbosity_of_a_step():
    class Failing(jitgraph.Op):
        itypes, otypes = (T.dvector,), (T.dvector,)

        def perform(self, node, inputs, output_storage):
            raise IndexError("no luck")

    x = T.dvector("x")
    f = jitgraph.function([x], Failing()(x))
    with change_flags(exception_verbosity="high"), pytest.raises(IndexError) as caught:
        f([1.0])
    assert "Failing [id A]" in str(caught.value) and "Storage map" in str(caught.value)
    with pytest.raises(IndexError) as short:
        f([1.0])
    assert short.value.explain() == str(caught.value) != str(short.value)


def test_traceback_limit():
    def inner(x):
        return x + 1

    def outer(x):
        return inner(x)

    x = T.dvector("x")
    for limit, frames in ((0, 0), (1, 1), (2, 2), (3, 3)):
        with change_flags(**{"traceback.limit": limit}):
            node = outer(x).owner
        assert len(node.trace) == frames and len(node.origins) == 1
        assert not frames or node.origins == node.trace[:1]
        assert all(file == __file__ for file, _ in node.trace)
    with change_flags(**{"traceback.limit": -1}):
        assert len(outer(x).owner.trace) > 8
    assert len(outer(x).owner.trace) == 8


@pytest.mark.parametrize(
    ("flags", "state"),
    [
        ("", ("warn", "warn")),
        ("numpy.seterr_all=ignore", ("ignore", "ignore")),
        ("numpy.seterr_all=ignore,numpy.seterr_divide=raise", ("raise", "ignore")),
        ("numpy.seterr_over=raise", ("warn", "raise")),
    ],
)
def test_numpys_error_handling_is_set_at_import_if_asked_for(flags, state):
    code = "import numpy, jitgraph; e = numpy.geterr(); print(e['divide'], e['over'])"
    source = str(Path(jitgraph.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": source, "JITGRAPH_FLAGS": flags},
        capture_output=True,
        text=True,
        check=True,
    )
    assert tuple(done.stdout.split()) == state
