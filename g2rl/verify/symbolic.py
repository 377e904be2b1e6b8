"""Symbolic comparison of two answers with math-verify. Only worker processes should call it: it may never return."""

import logging

from latex2sympy2_extended import NormalizationConfig, normalize_latex
from math_verify import verify
from math_verify.parser import parse_latex_cached

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the missing time limit, which the pool sets

_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)


def parse(latex: str):
    """The sympy object that an answer in LaTeX stands for; None where it is not mathematics."""
    try:
        return parse_latex_cached(normalize_latex(latex, config=_NORMALIZATION))
    except Exception:  # the parser raises whatever it likes on what it does not understand
        return None


def equal(gold: str, answer: str) -> bool:
    gold_expression, answer_expression = parse(gold), parse(answer)
    if gold_expression is None or answer_expression is None:
        return False
    return verify(gold_expression, answer_expression, timeout_seconds=None)
