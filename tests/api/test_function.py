"""`function`: forms of inputs and outputs, calling, stored values, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import In, Out, function, shared
from jitgraph.compile.function_module import UnusedInputError
from jitgraph.gof.fg import MissingInputError


@pytest.fixture(scope="module")
def names():
    return T.dscalars("x", "y")


@pytest.fixture(scope="module")
def add(names):
    x, y = names
    return function([x, y], x + y, name="adder")


# -- outputs -----------------------------------------------------------------------------------


def test_form_of_outputs(names):
    x, y = names
    one = function([x, y], x + y)
    several = function([x, y], [x + y])
    pair = function([x, y], (x - y, x * y))
    nothing = function([x, y], on_unused_input="ignore")
    named = function([x, y], {"sum": x + y, "difference": x - y})
    wrapped = function([x, y], Out(x + y))
    assert isinstance(one(1, 2), np.ndarray) and one(1, 2) == 3
    assert several(1, 2) == [3] and type(several(1, 2)) is list
    assert pair(5, 2) == [3, 10] and type(pair(5, 2)) is list
    assert nothing(1, 2) == []
    assert named(5, 2) == {"sum": 7, "difference": 3}
    assert list(named(5, 2)) == ["difference", "sum"]
    assert wrapped(1, 2) == 3 and isinstance(wrapped(1, 2), np.ndarray)


def test_no_inputs_and_no_outputs():
    assert function([], [])() == []
    assert function([], T.constant(3) * 2)() == 6


def test_outputs_that_are_leaves_or_repeated(names):
    x, _y = names
    s, c = shared(np.arange(3.0)), T.constant(np.ones(2))
    f = function([x], [x, x, s, s, c, c, x + 1, x + 1])
    values = f(4.0)
    assert [v.tolist() for v in values] == [4, 4, [0, 1, 2], [0, 1, 2], [1, 1], [1, 1], 5, 5]


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [
        (3, TypeError, "Outputs must be a Variable or Out instances, got 3"),
        (["x"], TypeError, "Outputs must be a Variable or Out instances, got 'x'"),
        ([np.ones(2)], TypeError, "Outputs must be a Variable or Out instances"),
        ({1: "x"}, AssertionError, "the keys of an outputs dict must be strings"),
    ],
)
def test_refused_outputs(outputs, error, message):
    with pytest.raises(error, match=message):
        function([], outputs)


# -- inputs ------------------------------------------------------------------------------------


def test_inputs_must_be_in_a_list(names):
    x, _ = names
    with pytest.raises(Exception, match="should be contained in a list") as caught:
        function(x, x + 1)
    assert type(caught.value) is Exception
    assert function((x,), x + 1)(1) == 2


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (T.constant(1), "Constants not allowed in param list"),
        (shared(1.0, name="w"), r"Cannot use a shared variable \(w\) as explicit input.*givens"),
        (3, "Unknown parameter type: <class 'int'>"),
        (None, "Unknown parameter type: <class 'NoneType'>"),
    ],
)
def test_refused_inputs(entry, message):
    with pytest.raises(TypeError, match=message):
        function([entry], [])


def test_a_variable_may_be_an_input_once(names):
    x, _ = names
    with pytest.raises(UnusedInputError, match=r"x float64.* is used twice in inputs"):
        function([x, x], x)


def test_missing_input_is_named_with_its_line(names):
    x, y = names
    with pytest.raises(MissingInputError, match=r"y float64\[\].*\(test_function.py:\d+\)") as e:
        function([x], x + y)
    assert not isinstance(e.value, (TypeError, ValueError))
    assert issubclass(MissingInputError, Exception)


def test_an_intermediate_value_may_be_an_input(names):
    x, y = names
    z = x + y
    f = function([z], z * 2)
    assert f(5) == 10
    with pytest.raises(MissingInputError, match=r"the outputs need x"):
        function([z], z * x)


def test_unused_input(names):
    x, y = names
    with pytest.raises(UnusedInputError, match=r"y float64\[\] is not used to compute any output"):
        function([x, y], x)
    with pytest.warns(UserWarning, match="y .* is not used"):
        function([x, y], x, on_unused_input="warn")
    assert function([x, y], x + 1, on_unused_input="ignore")(1, 2) == 2
    with pytest.raises(ValueError, match=r"Invalid value for keyword on_unused_input.*'shout'"):
        function([x, y], x, on_unused_input="shout")
    with jg.config.change_flags(on_unused_input="ignore"):
        assert function([x, y], x + 1)(1, 2) == 2
    stored = In(y, value=0.0, update=y + 1)
    assert function([x, stored], x + 1)(1) == 2


# -- calling -----------------------------------------------------------------------------------


def test_positions_and_keywords(add):
    assert add(1, 2) == add(1, y=2) == add(y=2, x=1) == 3


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((1,), {}, 'Missing required input: y with name "adder"'),
        ((), {"y": 1}, "Missing required input: x"),
        ((1, 2, 3), {}, 'Too many parameter passed to jitgraph function with name "adder"'),
        ((1, 2), {"y": 3}, "Multiple values for input: y"),
        (
            (1,),
            {"z": 3},
            r"Unknown input or state: z\. The function has 2 named inputs \(x, y\)\.",
        ),
    ],
)
def test_calls_that_do_not_fit(add, args, kwargs, message):
    with pytest.raises(TypeError, match=message):
        add(*args, **kwargs)


def test_two_inputs_of_one_name():
    a, b = T.dscalars("n", "n")
    f = function([a, b], a - b)
    assert f(5, 3) == 2
    with pytest.raises(TypeError, match="Ambiguous name: n"):
        f(5, n=3)


def test_output_subset_still_updates():
    x, s = T.dscalar("x"), shared(0.0)
    f = function([x], [x + 1, x + 2, x + 3], updates=[(s, s + 1)])
    assert f(1.0, output_subset=[2, 0]) == [4, 2]
    assert s.get_value() == 1
    named = function([x], {"a": x + 1, "b": x + 2})
    assert named(1.0, output_subset=["b"]) == {"b": 3}


def test_an_output_that_does_not_exist_is_refused_before_the_call():
    x, s = T.dscalar("x"), shared(0.0)
    f = function([x], [x + 1, x + 2], updates=[(s, s + 1)])
    assert f(1.0, output_subset=[-1, np.int64(0)]) == [3, 2]
    for wrong in ([2], [-3], ["a"], [0, 1.5]):
        with pytest.raises(IndexError, match=r"output_subset=.* are 0 to 1"):
            f(1.0, output_subset=wrong)
    assert s.get_value() == 1
    named = function([x], {"a": x + 1, "b": x + 2}, updates=[(s, s + 1)])
    with pytest.raises(KeyError, match=r"output_subset=\['c'\].*'a', 'b'"):
        named(1.0, output_subset=["c"])
    assert s.get_value() == 1


def test_a_missing_input_is_named_with_its_line():
    x, y = T.dscalars("x", "y")
    with pytest.raises(
        TypeError, match=r"Missing required input: y .*made at .*test_function\.py:"
    ):
        function([x, y], x + y, name="two")(1.0)


def test_default_is_used_again_after_an_error():
    x, y = T.dvectors("x", "y")
    f = function([x, In(y, value=[1.0, 2.0])], x + y)
    with pytest.raises(ValueError):
        f([1.0, 1.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="could not convert string to float"):
        f([1.0, 1.0], "text")
    assert f([1.0, 1.0]).tolist() == [2, 3]


def test_default_is_copied_when_declared():
    y = T.dvector("y")
    value = np.array([1.0, 2.0])
    f = function([In(y, value=value)], y * 2)
    value[0] = 50
    assert f().tolist() == [2, 4]
    assert f([7.0]).tolist() == [14]
    assert f().tolist() == [2, 4]


def test_name_of_a_function(names, add):
    x, _ = names
    assert add.name == "adder"
    unnamed = function([x], x + 1)
    assert unnamed.name.startswith("test_function.py:")
    with pytest.raises(TypeError, match='function with name "adder" at index 1'):
        add(1, {"a": 1})


def test_trust_input_skips_the_conversion(names):
    _x, _ = names
    v = T.dvector("v")
    f = function([v], v * 2)
    f.trust_input = True
    assert f(np.array([1.0, 2.0])).tolist() == [2, 4]


# -- In ----------------------------------------------------------------------------------------


def test_in_with_update():
    x = T.dscalar("x")
    f = function([In(x, value=2.0, update=x + 1)], 2 * x)
    assert [f(), f()] == [4, 6]
    assert f[x] == 4
    assert f(10.0) == 20
    assert f() == 22


def test_the_accumulator_of_the_old_documentation():
    u, x, s = T.dscalars("u", "x", "s")
    inc = function([u, In(x, value=3), In(s, value=10, update=s + x * u)], [])
    inc(5)
    assert inc[s] == 25
    inc(3, 4)
    assert inc[s] == 37
    inc(3, 4, 7)
    assert inc[s] == 19
    assert inc["s"] == 19 and inc["x"] == 3


def test_stored_values():
    x, y = T.dscalars("x", "y")
    w = shared(5.0, name="w")
    f = function([x, In(y, value=1.0)], x + y * w)
    assert f[1] == f["y"] == f[y] == f.value["y"] == 1.0
    f[y] = 3.0
    assert f(1.0) == 16.0
    f.container["y"].data = np.asarray(4.0)
    assert f(1.0) == 21.0
    assert f[w] == f["w"] == 5.0
    assert "y" in f and y in f and w in f
    assert "nobody" not in f
    with pytest.raises(TypeError, match="Unknown input or state: nobody"):
        f["nobody"]
    assert f.get_shared() == [w]


def test_implicit_inputs():
    x, y = T.dscalars("x", "y")
    f = function([x, In(y, value=2.0, implicit=True)], x + y)
    assert f(1.0) == 3.0
    for call in (lambda: f(1.0, 5.0), lambda: f(1.0, y=5.0)):
        with pytest.raises(TypeError, match="Tried to provide value for implicit input: y"):
            call()
    state = shared(7.0)
    g = function([x, In(y, value=state)], x + y)
    assert g(1.0) == 8.0
    state.set_value(10.0)
    assert g(1.0) == 11.0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: In(x, mutable=True, borrow=False), AssertionError, "mutable=True needs borrow"),
        (
            lambda x: In(x, implicit=True),
            TypeError,
            "An implicit input must be given a default value",
        ),
        (lambda x: In(x, name=3), TypeError, "name must be a string! .got: 3"),
        (lambda x: In(x, value=1, update=T.cast(x, "float32")), TypeError, "update of type"),
        (lambda x: In(3.0), TypeError, "Unknown parameter type: <class 'float'>"),
    ],
)
def test_refused_declarations(make, error, message):
    with pytest.raises(error, match=message):
        make(T.dscalar("x"))


def test_attributes_of_in():
    x = T.dscalar("x")
    plain, updated = In(x), In(x, value=1.0, update=x + 1)
    assert (plain.name, plain.mutable, plain.borrow, plain.strict) == ("x", False, False, False)
    assert (updated.mutable, updated.borrow, updated.implicit) == (True, True, False)
    assert In(x, autoname=False).name is None
    assert In(x, name="other").name == "other"


# -- modes -------------------------------------------------------------------------------------


def test_modes_by_name_and_value():
    x = T.dscalar("x")
    log_sigmoid = T.log(T.nnet.sigmoid(x))
    for mode in (None, "FAST_RUN", "fast_run", "Mode", jg.Mode(), jg.Mode("cvm", "fast_run")):
        assert function([x], log_sigmoid, mode=mode)(-1000.0) == -1000.0
    for mode in ("FAST_COMPILE", "reference", jg.Mode("py", None), jg.Mode("c", None)):
        assert function([x], log_sigmoid, mode=mode)(-1000.0) == -np.inf
    with pytest.raises(Exception, match="No predefined mode exist for string: QUICK") as caught:
        function([x], x, mode="QUICK")
    assert type(caught.value) is Exception
    with pytest.raises(KeyError):
        jg.Mode("no such linker")
    with pytest.raises(KeyError):
        jg.Mode("c", "no such optimizer")


def test_approximations_are_chosen_by_mode_or_flag():
    x = T.dscalar("x")
    y = T.nnet.sigmoid(x)
    exact = 1 / (1 + np.exp(-2.0))
    ultra = jg.Mode().including("local_ultra_fast_sigmoid")
    hard = jg.Mode().including("local_hard_sigmoid")
    np.testing.assert_allclose(function([x], y)(2.0), exact, rtol=1e-15)
    assert function([x], y, mode=hard)(2.0) == 0.9
    assert abs(function([x], y, mode=ultra)(2.0) - exact) > 1e-3
    # log(sigmoid) and gradients are made from the exact sigmoid before the replacement
    assert function([x], T.log(y), mode=hard)(-1000.0) == -1000.0
    assert function([x], T.grad(y, x), mode=hard)(2.0) == pytest.approx(0.9 * 0.1, rel=1e-14)
    assert function([x], y, mode=hard.excluding("local_hard_sigmoid"))(2.0) != 0.9


def test_flags_act_on_the_default_mode_only():
    code = (
        "import jitgraph as jg, jitgraph.tensor as T\n"
        "x = T.dscalar('x'); y = T.nnet.sigmoid(x)\n"
        "print(float(jg.function([x], y)(2.0)),"
        " round(float(jg.function([x], y, mode='FAST_RUN')(2.0)), 6))\n"
    )
    import os
    import subprocess
    import sys

    flags = {"JITGRAPH_FLAGS": "optimizer_including=local_hard_sigmoid"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | flags, capture_output=True, text=True
    )
    assert done.stdout.split() == ["0.9", "0.880797"], done.stderr


def test_the_optimised_graph_can_be_looked_at():
    x = T.dvector("x")
    f = function([x], T.log(1 + T.exp(x)))
    graph = f.maker.fgraph
    assert [n.op.name for n in graph.toposort()] == ["softplus"]
    assert graph.inputs == [x]
    assert len(graph.outputs) == 1
    assert graph.apply_nodes == set(graph.toposort())
    assert "softplus" in f.c_source
    report = f.compile_report()
    assert report["cache"] in ("hit", "miss") and report["total"] > 0
