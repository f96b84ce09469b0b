"""Printing: the one-line form, the tree, the Print op; the texts are those Theano printed."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import jitgraph.tensor as T
from jitgraph import function
from jitgraph.errors import NotScalarConstantError
from jitgraph.graph import Variable, toposort
from jitgraph.op import DISCONNECTED, Undefined, from_token
from jitgraph.printing import (
    LONGEST_LINE,
    PrettyPrinter,
    Print,
    debugprint,
    letters,
    min_informative_str,
    pp,
    pprint,
    printable,
)
from jitgraph.reference import evaluate
from jitgraph.tensor.shared_randomstreams import RandomStreams

x, b = T.dvector("x"), T.dvector("b")
W = T.dmatrix("W")
i = T.lscalar("i")


# -- one line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (T.nnet.sigmoid(T.dot(W, x) + b), r"sigmoid(((W \dot x) + b))"),
        (T.nnet.softplus(T.dot(W, x) + b), r"softplus(((W \dot x) + b))"),
        (T.nnet.softmax(T.dot(W, x) + b), r"Softmax(((W \dot x) + b))"),
        (x.sum(), "Sum{acc_dtype=float64}(x)"),
        (W.sum(axis=0), "Sum{axis=[0], acc_dtype=float64}(W)"),
        (x.max(), "MaxAndArgmax{axis=(0,)}(x)"),
        (x.mean(), "(Sum{acc_dtype=float64}(x) / float64(Shape(x))[Constant{0}])"),
        (T.switch(x > 0, x, T.log1p(x)), "switch(gt(x, TensorConstant{0}), x, log1p(x))"),
        (T.cast(x, "int32"), "int32(x)"),
        (x + 1.0, "(x + TensorConstant{1.0})"),
        (abs(x), "|x|"),
        (-x, "(-x)"),
        (W.T, "W.T"),
        ((W - 1).T, "(W - TensorConstant{1}).T"),
        (x[0], "x[Constant{0}]"),
        (x[i], "x[i]"),
        (W[1:i, ::2], "W[Constant{1}:i, ::Constant{2}]"),
        (W[T.lvector("rows")], "W[rows]"),
        (T.dscalar("alpha") * T.dscalar("gamma"), r"(\alpha * \gamma)"),
        (T.dmatrix() + x, "(<TensorType(float64, matrix)> + x)"),
        (W.dimshuffle("x", 0, 1), "W"),
        (W.dimshuffle(0, "x", 1), "DimShuffle{0, x, 1}(W)"),
        (x // 2 % 3, "((x // TensorConstant{2}) % TensorConstant{3})"),
        (~(x > b), "(~gt(x, b))"),
        (T.ones_like(x), "fill(x, TensorConstant{1.0})"),
        (T.tensor_copy(x), "x"),
        (W.min(axis=0), "Min{axis=(0,)}(W)"),
        (W.all(axis=1), "All{1}(bool(W))"),
        (W.any(), "Any(bool(W))"),
        (x, "x"),
    ],
)
def test_pprint(variable: Any, text: str) -> None:
    assert pprint(variable) == text


def test_pprint_of_the_gradient_of_the_sum_of_squares() -> None:
    assert pprint(T.grad((x**2).sum(), x)) == (
        "((fill((x ** TensorConstant{2}), fill(Sum{acc_dtype=float64}((x ** TensorConstant{2})), "
        "TensorConstant{1.0})) * TensorConstant{2}) * "
        "(x ** (TensorConstant{2} - TensorConstant{1})))"
    )


def test_pprint_refuses_what_is_no_variable() -> None:
    with pytest.raises(TypeError, match="takes a variable, got float"):
        pprint(1.0)


def test_pprint_of_deep_and_of_wide_graphs() -> None:
    deep = x
    for _ in range(5000):
        deep = deep + b
    assert pprint(deep) == "(" * 5000 + "x" + " + b)" * 5000
    doubled = x
    for _ in range(100):  # 2**100 leaves if written out
        doubled = doubled * doubled
    text = pprint(doubled)
    assert LONGEST_LINE < len(text) < LONGEST_LINE + 10 and text.endswith("…")


def test_another_printer_may_print_an_op_in_its_own_way() -> None:
    mine = PrettyPrinter()
    assert mine(x[0]) == "Subtensor{int64}(x, TensorConstant{0})"
    mine.rule(type(x[0].owner.op))(lambda node: ["first of ", node.inputs[0]])
    assert mine(x[0]) == "first of x"
    assert pp is pprint and pp(x[0]) == "x[Constant{0}]"


@pytest.mark.parametrize(
    "evil", ["\x1b[31mred", "\x9b2J", "a\nb", "\x00", "\u202egnp", "\r", "\x07"]
)
def test_control_characters_of_names_are_escaped(evil: str) -> None:
    v = T.dvector(evil)
    texts = [pprint(v + 1), min_informative_str(v + 1), debugprint(v * 2, file="str")]
    for text in texts:
        assert evil not in text
        assert all(c.isprintable() or c == "\n" for c in text)
        assert evil.encode("unicode_escape").decode() in text
    assert len(texts[2].splitlines()) == 4  # an operation, v, a broadcast 2, 2


def test_printable_leaves_ordinary_text_alone() -> None:
    assert printable("α_1 → W[0]") == "α_1 → W[0]"
    assert printable("a\tb\x1b", keep="\t") == "a\tb\\x1b"


# -- the tree ----------------------------------------------------------------------


def tree() -> tuple[Variable, Variable]:
    """G = (A + B) + (D + E), the first sum being named C."""
    A, B, D, E = (T.dmatrix(n) for n in "ABDE")
    C = A + B
    C.name = "C"
    return C + (D + E), A


@pytest.mark.parametrize(
    ("ids", "labels"),
    [
        ("CHAR", [f"[id {c}]" for c in "ABCDEFG"]),
        ("int", [f"[id {n}]" for n in range(7)]),
        ("", [""] * 7),
    ],
)
def test_debugprint(ids: str, labels: list[str]) -> None:
    G, _ = tree()
    expected = [
        "Elemwise{add,no_inplace} %s ''   ",
        " |Elemwise{add,no_inplace} %s 'C'   ",
        " | |A %s",
        " | |B %s",
        " |Elemwise{add,no_inplace} %s ''   ",
        "   |D %s",
        "   |E %s",
    ]
    lines = [line % label for line, label in zip(expected, labels, strict=True)]
    assert debugprint(G, file="str", ids=ids) == "\n".join(lines) + "\n"


def test_debugprint_stop_on_name_and_types() -> None:
    G, _ = tree()
    assert debugprint(G, file="str", stop_on_name=True).splitlines() == [
        "Elemwise{add,no_inplace} [id A] ''   ",
        " |Elemwise{add,no_inplace} [id B] 'C'   ",
        " |Elemwise{add,no_inplace} [id C] ''   ",
        "   |D [id D]",
        "   |E [id E]",
    ]
    assert debugprint(G, file="str", depth=2, print_type=True).splitlines() == [
        "Elemwise{add,no_inplace} [id A] <TensorType(float64, matrix)> ''   ",
        " |Elemwise{add,no_inplace} [id B] <TensorType(float64, matrix)> 'C'   ",
        " |Elemwise{add,no_inplace} [id C] <TensorType(float64, matrix)> ''   ",
    ]


def test_debugprint_lists_a_shared_node_once() -> None:
    y = T.exp(x)
    assert debugprint(y * y, file="str").splitlines() == [
        "Elemwise{mul,no_inplace} [id A] ''   ",
        " |Elemwise{exp,no_inplace} [id B] ''   ",
        " | |x [id C]",
        " |Elemwise{exp,no_inplace} [id B] ''   ",
    ]


def test_debugprint_a_node_cut_by_depth_is_listed_where_there_is_room() -> None:
    y = T.exp(x)
    deep = T.log(T.sqrt(y)) + y  # exp is at level 3, then at level 1
    lines = debugprint(deep, file="str", depth=4).splitlines()
    assert lines[-2:] == [" |Elemwise{exp,no_inplace} [id D] ''   ", "   |x [id E]"]


def test_debugprint_ids_carry_over() -> None:
    done: dict[Any, str] = {}
    y = T.exp(x)
    debugprint(y, file="str", done=done)
    assert debugprint(y + b, file="str", done=done).splitlines() == [
        "Elemwise{add,no_inplace} [id C] ''   ",
        " |Elemwise{exp,no_inplace} [id A] ''   ",
        " |b [id D]",
    ]


def test_debugprint_of_a_function_numbers_the_nodes_and_names_clients() -> None:
    A, B, D = (T.dmatrix(n) for n in "ABD")
    outputs = [A + B, (A + B) - D]
    outputs[1] = outputs[0] - D
    graph = SimpleNamespace(outputs=outputs, toposort=lambda: toposort(outputs))
    function = SimpleNamespace(maker=SimpleNamespace(fgraph=graph))
    expected = [
        "Elemwise{add,no_inplace} [id A] ''   0 clients:[('[id B]', 1), ('output', '')]",
        " |A [id C]",
        " |B [id D]",
        "Elemwise{sub,no_inplace} [id B] ''   1",
        " |Elemwise{add,no_inplace} [id A] ''   0 clients:[('[id B]', 1), ('output', '')]",
        " |D [id E]",
    ]
    for obj in (function, graph, [graph]):
        assert debugprint(obj, file="str", print_clients=True).splitlines() == expected
    plain = debugprint(function, file="str", ids="", print_storage=True)
    assert plain.splitlines()[:2] == ["Elemwise{add,no_inplace}  ''   0 [None]", " |A  [None]"]


def test_debugprint_outputs_constants_and_shared_values() -> None:
    draw = RandomStreams(1).uniform((2,))
    lines = debugprint(draw.owner, file="str").splitlines()
    assert lines[0] == "RandomFunction{uniform}.0 [id A] ''   "
    assert lines[1] == " |<RandomStateType> [id B]"
    assert lines[-1] == "RandomFunction{uniform}.1 [id A] ''   "
    s = T.shared(np.arange(2.0), name="s")
    stored = debugprint(s * 2.0, file="str", print_storage=True)
    assert " |s [id B] [array([0., 1.])]" in stored
    assert "TensorConstant{2.0} [id D] [array(2., dtype=float32)]" in stored


def test_debugprint_destinations(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    assert debugprint(x, file=file) is file
    assert file.getvalue() == "x [id A]\n"
    assert debugprint(x) is None
    assert capsys.readouterr().out == "x [id A]\n"
    assert debugprint(x, ids="id", file="str") == f"x [id {id(x)}]\n"


def test_debugprint_refusals() -> None:
    with pytest.raises(TypeError, match="cannot print an object of this type"):
        debugprint(3)
    with pytest.raises(ValueError, match="ids must be one of"):
        debugprint(x, ids="char")


def test_debugprint_of_a_deep_graph() -> None:
    deep = x
    for _ in range(5000):
        deep = T.exp(deep)
    lines = debugprint(deep, file="str").splitlines()
    assert len(lines) == 5001
    assert lines[-1].endswith(f"|x [id {letters(5000)}]")
    assert len(min_informative_str(deep).splitlines()) == 5001


def test_letters_are_the_digits_of_base_26() -> None:
    assert [letters(n) for n in (0, 25, 26, 27, 51, 52, 675, 676)] == (
        ["A", "Z", "BA", "BB", "BZ", "CA", "ZZ", "BAA"]
    )


def test_min_informative_str() -> None:
    G, A = tree()
    assert min_informative_str(G) == (
        "A. Elemwise{add,no_inplace}\n B. C\n C. Elemwise{add,no_inplace}\n  D. D\n  E. E"
    )
    assert (
        min_informative_str(A * A, indent_level=1) == " A. Elemwise{mul,no_inplace}\n  B. A\n  <B>"
    )


# -- Print ----------------------------------------------------------------------


def test_print_shows_attributes(capsys: pytest.CaptureFixture[str]) -> None:
    value = np.array([1.0, 2.0])
    shown = Print("hello")(x)
    (result,) = evaluate([shown * 2], {x: value})
    assert capsys.readouterr().out == "hello __str__ = [1. 2.]\n"
    assert result.tolist() == [2.0, 4.0]
    (result,) = evaluate([Print("hello", attrs=("shape", "min"))(x)], {x: value})
    assert capsys.readouterr().out == "hello shape = (2,)\nhello min = 1.0\n"
    assert result is not value and result.tolist() == value.tolist()


def test_print_escapes_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate([Print("a\x1b[2J\tb")(x)], {x: np.zeros(1)})
    assert capsys.readouterr().out == "a\\x1b[2J\tb __str__ = [0.]\n"


def test_print_with_a_function_of_the_program() -> None:
    seen: list[Any] = []
    op = Print("m", global_fn=lambda op, value: seen.append((op.message, value.shape)))
    evaluate([op(W)], {W: np.zeros((2, 3))})
    assert seen == [("m", (2, 3))]


def test_print_is_a_value_and_its_token_gives_it_back() -> None:
    first, second = (lambda op, value: None), (lambda op, value: None)
    plain, one, two = Print("m"), Print("m", global_fn=first), Print("m", global_fn=second)
    assert plain == Print("m") and one == Print("m", global_fn=first)
    assert len({plain, one, two, Print("n"), Print("m", ("shape",))}) == 5
    for op in (plain, one, two):
        again = from_token(op.token())
        assert again == op and again.global_fn is op.global_fn


def test_print_is_kept_where_it_is_and_run_as_written() -> None:
    assert Print.side_effect and not Print.foldable
    constant = T.constant(1.0)
    with pytest.raises(NotScalarConstantError):
        T.get_scalar_constant_value(Print()(constant))


def test_print_passes_the_gradient_through() -> None:
    node = Print("g")(x).owner
    g = T.dvector("g")
    assert node.op.grad(node.inputs, node.outputs, [g]) == [g]
    assert node.op.grad(node.inputs, node.outputs, [DISCONNECTED]) == [DISCONNECTED]
    undefined = Undefined("because")
    assert node.op.grad(node.inputs, node.outputs, [undefined]) == [undefined]
    integers = Print("g")(T.lvector()).owner
    (zero,) = integers.op.grad(integers.inputs, integers.outputs, [g])
    (value,) = evaluate([zero], {integers.inputs[0]: np.arange(3)})
    assert value.dtype == np.float64 and value.tolist() == [0.0, 0.0, 0.0]


# -- compiled functions ---------------------------------------------------------------------------


def test_print_in_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    f = function([x], Print("sum of")(T.exp(x)).sum())
    for _ in range(2):
        assert f([0.0, 0.0]) == 2.0
        assert capsys.readouterr().out == "sum of __str__ = [1. 1.]\n"
    seen: list[Any] = []
    g = function([x], Print("", ("shape",), lambda op, value: seen.append(value.copy()))(x) * 2)
    assert g([1.0, 2.0]).tolist() == [2.0, 4.0]
    assert [v.tolist() for v in seen] == [[1.0, 2.0]]


def test_print_of_a_constant_shows_it_at_every_call(capsys: pytest.CaptureFixture[str]) -> None:
    f = function([], Print("c")(T.constant(3.0)) + 1)
    assert capsys.readouterr().out == ""
    for _ in range(2):
        assert f() == 4.0
        assert capsys.readouterr().out == "c __str__ = 3.0\n"


def test_debugprint_of_a_compiled_function() -> None:
    f = function([W, x], [T.dot(W, x), W.sum(axis=0)])
    order = f.maker.fgraph.toposort()
    text = debugprint(f, file="str", ids="int")
    for number, node in enumerate(order):
        assert f"'   {number}\n" in text, node
    assert len(f.maker.fgraph.outputs) == 2
    assert [line for line in text.splitlines() if line.endswith("]")]  # the inputs by name
    assert "|W [id " in text and "|x [id " in text
