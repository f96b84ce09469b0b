"""Modes: names, tags, flags, and what a mode selects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags, config
from jitgraph.mode import (
    ALIASES,
    FAST_COMPILE,
    FAST_RUN,
    LINKERS,
    OPTIMIZERS,
    Mode,
    get_default_mode,
    get_mode,
    predefined_modes,
    register_mode,
)
from jitgraph.rewrite.pipeline import SWITCHABLE, optimise, selected

x = T.dmatrix("x")


def fired(expression: Any, mode: Mode) -> list[str]:
    log: list[str] = []
    optimise([expression], mode, log)
    return log


# -- names -------------------------------------------------------------------------------------


def test_names() -> None:
    assert get_mode("FAST_RUN") is FAST_RUN is get_mode("fast_run")
    assert get_mode("FAST_COMPILE") is FAST_COMPILE
    assert get_mode("reference").linker == "reference"
    assert get_mode("Mode") == FAST_RUN
    own = Mode("py", "merge")
    assert get_mode(own) is own
    assert get_mode(None) == get_default_mode() == get_mode("Mode")


def test_unknown_names() -> None:
    with pytest.raises(Exception, match=r"^No predefined mode exist for string: FAST\. .*FAST_RUN"):
        get_mode("FAST")
    with pytest.raises(KeyError, match=r"unknown optimizer 'o9'; known are .*fast_run.*o4"):
        Mode(optimizer="o9")
    with pytest.raises(KeyError, match=r"unknown linker 'gpu'; known are c, "):
        Mode(linker="gpu")
    with pytest.raises(KeyError, match="unknown accuracy 'best'"):
        Mode(accuracy="best")
    with pytest.raises(TypeError, match=r"a mode is a name .*not 3"):
        get_mode(3)


def test_register() -> None:
    with pytest.raises(ValueError, match="taken"):
        register_mode("FAST_RUN", FAST_RUN)
    with pytest.raises(ValueError, match="taken"):
        register_mode("Mode", FAST_RUN)
    register_mode("own", Mode("py", "merge"))
    try:
        assert get_mode("own") == Mode("py", "merge")
    finally:
        del predefined_modes["own"]


@pytest.mark.parametrize("linker", LINKERS)
@pytest.mark.parametrize("optimizer", [None, *OPTIMIZERS, *ALIASES])
def test_every_combination_works(linker: str, optimizer: str | None) -> None:
    mode = Mode(linker, optimizer)
    assert mode.linker in ("c", "reference")
    assert json.loads(mode.token())[0] == mode.linker
    (new,) = optimise([T.log(T.nnet.sigmoid(x) * 1)], mode)
    assert new.type == x.type


def test_default_linker_and_optimizer_come_from_the_configuration() -> None:
    with change_flags(linker="py", optimizer="fast_compile"):
        assert Mode() == Mode("py", "fast_compile")
        assert Mode().linker == "reference"
    assert Mode("c", None).clone(optimizer="fast_run") == FAST_RUN
    assert FAST_RUN.clone() == FAST_RUN


# -- tags --------------------------------------------------------------------------------------


def test_excluding_a_group_and_a_rule() -> None:
    form = T.log(1 + T.exp(x))
    assert "log(1 + x) -> log1p(x)" in fired(form, FAST_RUN)
    assert fired(form, FAST_RUN.excluding("stabilize"))[-1:] != ["log1p(exp(x)) -> softplus(x)"]
    assert "log(1 + x) -> log1p(x)" not in fired(form, FAST_RUN.excluding("local_log1p"))
    log = fired(form, FAST_RUN.excluding("log1pexp_to_softplus"))
    assert "log(1 + x) -> log1p(x)" in log and "log1p(exp(x)) -> softplus(x)" not in log
    assert fired(form, FAST_RUN.excluding("fast_run", "fast_compile")) == []


def test_including_adds_to_what_there_is() -> None:
    form = T.log(T.nnet.sigmoid(x))
    assert fired(form, FAST_COMPILE) == []
    assert fired(form, FAST_COMPILE.including("stabilize")) == ["log(sigmoid(x)) -> -softplus(-x)"]
    assert fired(form, FAST_COMPILE.including("logsigm_to_softplus")) == fired(form, FAST_RUN)
    stronger = FAST_COMPILE.including("stabilize").excluding("logsigm_to_softplus")
    assert fired(form, stronger) == []


def test_requiring_keeps_what_has_all_tags() -> None:
    form = T.log(T.nnet.sigmoid(x * 1))
    assert fired(form, FAST_RUN.requiring("stabilize")) == ["log(sigmoid(x)) -> -softplus(-x)"]
    assert fired(form, FAST_RUN.requiring("stabilize", "useless")) == []
    assert not FAST_RUN.requiring("stabilize").fusion
    assert FAST_RUN.requiring("fusion").fusion


def test_unknown_tags_are_ignored() -> None:
    for mode in (FAST_RUN.including("nonsense"), FAST_RUN.excluding("nonsense", "inplace", "gpu")):
        assert selected(mode) == selected(FAST_RUN)
        assert mode.token() == FAST_RUN.token()


def test_fusion() -> None:
    assert FAST_RUN.fusion and not FAST_COMPILE.fusion
    assert FAST_COMPILE.including("fusion").fusion and Mode("c", "o2").fusion
    for tag in ("fusion", "elemwise_fusion", "local_elemwise_fusion"):
        assert not FAST_RUN.excluding(tag).fusion
    with change_flags(**{"tensor.local_elemwise_fusion": False}):
        assert not FAST_RUN.fusion


def test_fast_compile_has_no_stable_rules_but_the_cross_entropy() -> None:
    chosen = {tag for r in selected(FAST_COMPILE) if "stabilize" in r.tags for tag in r.tags}
    assert "local_logsoftmax" in chosen
    assert "crossentropy_to_crossentropy_with_softmax" in chosen
    assert not chosen & {"logsigm_to_softplus", "local_log1p", "local_log_sum_exp", "local_expm1"}


@pytest.mark.parametrize(
    "name",
    [
        "logsigm_to_softplus", "log1msigm_to_softplus", "log1p_neg_sigmoid,",
        "log1pexp_to_softplus",
        "local_log1p", "local_exp_over_1_plus_exp", "local_inv_1_plus_exp", "local_sigm_times_exp",
        "local_1msigmoid", "local_expm1", "local_log_add", "local_log_sum_exp", "local_log_erfc",
        "softmax_simplifier", "local_logsoftmax", "local_mul_switch_sink", "local_div_switch_sink",
        "local_advanced_indexing_crossentropy_onehot", "local_ultra_fast_sigmoid", "ShapeOpt",
        "local_hard_sigmoid", "constant_folding", "local_fill_to_alloc", "local_elemwise_alloc",
        "local_dimshuffle_lift", "local_reshape_lift", "local_flatten_lift", "local_reshape_chain",
        "local_useless_subtensor", "local_subtensor_merge", "local_subtensor_lift", "canonicalize",
        "local_useless_switch", "local_upcast_elemwise_constant_inputs", "specialize", "stabilize",
        "local_pow_specialize", "local_pow_canonicalize", "local_useless_reshape", "useless",
    ],
)  # fmt: skip
def test_names_of_theano_select_a_rule(name: str) -> None:
    assert any(name in r.tags for r in SWITCHABLE)


def test_every_rule_belongs_to_a_mode_or_is_asked_for_by_name() -> None:
    alone = [r.name for r in SWITCHABLE if not r.tags & {"fast_run", "fast_compile"}]
    assert alone == ["sigmoid(x) -> ultra_fast_sigmoid(x)", "sigmoid(x) -> hard_sigmoid(x)"]


# -- approximations of sigmoid -------------------------------------------------------------------


def ops_after(expression: Any, mode: Mode) -> set[str]:
    from jitgraph.graph import toposort

    return {n.op.name for n in toposort(optimise([expression], mode))}


def test_approximations_by_name() -> None:
    s = T.nnet.sigmoid(x)
    ultra = FAST_RUN.including("local_ultra_fast_sigmoid")
    hard = FAST_RUN.including("local_hard_sigmoid")
    assert ops_after(s, ultra) == {"ultra_fast_sigmoid"}
    assert ops_after(s, hard) == {"mul", "add", "clip"}
    assert ops_after(s, ultra.including("local_hard_sigmoid")) == {"ultra_fast_sigmoid"}
    assert ops_after(s, FAST_RUN) == {"sigmoid"}
    # the stable rules have seen the exact sigmoid
    assert ops_after(T.log(s), ultra) == {"neg", "softplus"}
    assert ops_after(jitgraph.grad(T.log(s).sum(), x), ultra) == {"neg", "ultra_fast_sigmoid"}


# -- the default mode ----------------------------------------------------------------------------


FLAGS_PROGRAM = """
import jitgraph.tensor as T
from jitgraph.graph import toposort
from jitgraph.mode import get_mode
from jitgraph.rewrite.pipeline import optimise
x = T.dmatrix("x")
for name in (None, "FAST_RUN", "Mode"):
    outputs = optimise([T.nnet.sigmoid(x) + T.log(1 + x)], get_mode(name))
    print(" ".join(sorted(n.op.name for n in toposort(outputs))))
"""


def test_flags_act_on_the_default_mode_only() -> None:
    flags = "optimizer_including=local_ultra_fast_sigmoid:nonsense,optimizer_excluding=local_log1p"
    source = os.path.dirname(os.path.dirname(jitgraph.__file__))
    env = {**os.environ, "JITGRAPH_FLAGS": flags, "PYTHONPATH": source}
    done = subprocess.run(
        [sys.executable, "-c", FLAGS_PROGRAM], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "add add log ultra_fast_sigmoid",
        "add log1p sigmoid",
        "add log1p sigmoid",
    ]


def test_default_mode_follows_the_configuration() -> None:
    assert config.mode == "Mode"
    with change_flags(mode="FAST_COMPILE"):
        assert get_mode(None) == FAST_COMPILE
    with change_flags(mode="reference"):
        assert get_mode(None).linker == "reference"


# -- tokens ------------------------------------------------------------------------------------


def test_equal_programs_have_equal_tokens() -> None:
    assert Mode("cvm", "o4").token() == Mode("c|py", "fast_run").token() == FAST_RUN.token()
    assert FAST_RUN.including("stabilize", "fast_run").token() == FAST_RUN.token()
    a = FAST_RUN.excluding("local_log1p").excluding("local_expm1")
    assert a.token() == FAST_RUN.excluding("local_expm1", "local_log1p", "inplace").token()


def test_different_programs_have_different_tokens() -> None:
    modes = [
        FAST_RUN, FAST_COMPILE, get_mode("reference"), Mode("py", "fast_run"), Mode("c", "merge"),
        Mode("c", "stabilize"), Mode("c", None), FAST_RUN.excluding("fusion"), Mode("c", "o2"),
        FAST_RUN.excluding("merge"), FAST_RUN.excluding("local_log1p"),
        FAST_RUN.including("local_ultra_fast_sigmoid"), FAST_RUN.including("local_hard_sigmoid"),
    ]  # fmt: skip
    tokens = [m.token() for m in modes]
    assert len(set(tokens)) == len(modes)


def test_modes_are_values() -> None:
    assert FAST_RUN.including("a", "b") == FAST_RUN.including("b").including("a")
    assert hash(FAST_RUN.including("a")) == hash(FAST_RUN.including("a"))
    assert "excluding" in str(FAST_RUN.excluding("fusion"))


def test_plain_modes_do_not_load_the_rules() -> None:
    program = (
        "import sys; from jitgraph.mode import get_mode; get_mode(None).token(); "
        "get_mode('FAST_COMPILE').token(); print('jitgraph.rewrite' in sys.modules)"
    )
    source = os.path.dirname(os.path.dirname(jitgraph.__file__))
    env = {k: v for k, v in os.environ.items() if not k.startswith("JITGRAPH")} | {
        "PYTHONPATH": source
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
