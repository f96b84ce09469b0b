"""The functions of accuracy 'fast' in TABLE: those of the exact forms, within 4 ULP."""

from __future__ import annotations

from dataclasses import replace

import special_functions  # noqa: F401  (adds to TABLE)
from math_functions import LOG_SPECIALS, TABLE

FAST = (
    "exp",
    "exp2",
    "expm1",
    "tanh",
    "sigmoid",
    "softplus",
    "sigmoid_crossentropy",
    "log",
    "log2",
    "log10",
    "log1p",
    "erf",
)
# log10(1000) is an integer in the exact form only.
_SPECIALS = {"log2": LOG_SPECIALS, "log10": LOG_SPECIALS}

for _name in FAST:
    _exact = TABLE[_name]
    TABLE[f"{_name}_fast"] = replace(
        _exact,
        name=f"{_name}_fast",
        header="jg_fast.h",
        ulp=4.0,
        ulp_f32=4.0,
        specials=_SPECIALS.get(_name, _exact.specials),
    )
