"""Symbolic comparison with math-verify, for answers that are more than a number. It may never return: see `pool.py`."""

import logging
import re
from functools import lru_cache
from itertools import starmap

import sympy
from antlr4.atn.PredictionMode import PredictionMode
from latex2sympy2_extended import NormalizationConfig, normalize_latex
from latex2sympy2_extended.latex2sympy2 import _Latex2Sympy
from math_verify import verify
from math_verify.parser import get_last_eq
from sympy.sets.sets import Interval

logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns of the missing time limit, which the pool sets

# Not `math_verify.parse`: that searches a whole text for answers, and merges several. Here the answer is cut out.
_NORMALIZATION = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
_IMAGINARY_UNIT = re.compile(r"(?<![A-Za-z\\])i(?![A-Za-z])")
_INDEXED = re.compile(r"\\(?:sum|prod|int)(?![A-Za-z])")

# Answers of all kinds, to warm up with.
_TYPICAL = [
    (r"\frac{3\sqrt{2}}{4}", r"-\frac{\pi}{3}"),
    (r"2x^2 - 3xy + 5", r"(x+1)(x-2)"),
    (r"\left(\frac{1}{2}, -3\right)", r"\left[-1, \frac{2}{3}\right)"),
    (r"(-\infty, 2) \cup (3, \infty)", r"(-\infty, 2) \cup (4, \infty)"),
    (r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \\ 3 & 5 \end{pmatrix}"),
    (r"y = 2x + 3", r"y - 2x = 3"),
    (r"\{1, 2\}", r"x = 1, y = 3"),
    (r"\sin^2 x + \cos^2 x", r"\log_2 8 + 3i"),
    (r"x \le 3^{n-1}", r"x > e^{-2t}"),
]


class _Parser(_Latex2Sympy):
    """latex2sympy with ANTLR's prediction mode to choose, and with i as the imaginary unit.

    SLL is about seven times as fast as LL, the default, and fails on one formula in fourteen of MATH. ANTLR promises
    that SLL either parses as LL does or fails. A letter i that stands alone is the square root of -1, except beside a
    sum, product or integral, whose index it may be; math-verify takes it for a variable.
    """

    def __init__(self, mode: int, latex: str):
        super().__init__(is_real=True)
        self.mode = mode
        self.complex = bool(_IMAGINARY_UNIT.search(latex)) and not _INDEXED.search(latex)

    def create_parser(self, latex_str: str):
        parser = super().create_parser(latex_str)
        parser._interp.predictionMode = self.mode
        return parser

    def convert_atom_expr(self, atom_expr):
        atom = super().convert_atom_expr(atom_expr)
        return atom.subs(sympy.Symbol("i", real=True), sympy.I) if self.complex else atom


@lru_cache(maxsize=64)  # a prompt's responses are judged against the same gold answer
def parse(latex: str) -> sympy.Basic | sympy.MatrixBase | None:
    """The sympy object that an answer in LaTeX stands for; None where it is not mathematics."""
    latex = normalize_latex(latex, config=_NORMALIZATION)
    for text in dict.fromkeys((latex, get_last_eq(latex))):  # of `a = b = c` that does not parse, c
        for mode in (PredictionMode.SLL, PredictionMode.LL):
            try:
                return _Parser(mode, text).parse(text)
            except MemoryError:
                raise
            except Exception:  # the parser raises whatever it likes on what it does not understand
                continue
    return None


def warm_up() -> None:
    """Fill the parser's tables and sympy's caches, which makes the first hundred answers several times as fast."""
    for gold, answer in _TYPICAL:
        equal(gold, answer)
        equal(gold, gold)


def equal(gold_latex: str, answer_latex: str) -> bool:
    """Does the answer equal the gold answer, both in LaTeX without units? Raises nothing but MemoryError."""
    try:
        gold, answer = parse(gold_latex), parse(answer_latex)
        if gold is None or answer is None:
            return False
        if _is_ordered(gold) and isinstance(answer, sympy.FiniteSet):
            answer = sympy.Tuple(*answer._unsorted_args)  # "2, 1" against the pair (1, 2): keep its order
        if _is_constant(gold) and _is_constant(answer):
            return same_constant(gold, answer)
        if _values_differ(gold, answer):
            return False
        return verify(gold, answer, allow_set_relation_comp=True, timeout_seconds=None)
    except MemoryError:
        raise
    except Exception:  # so does sympy's evaluation
        return False


def same_constant(a: sympy.Expr, b: sympy.Expr) -> bool:
    """Are two numbers equal, exactly or, where a decimal is involved, up to the rounding `verify_math` allows?"""
    a_value, b_value = a.evalf(30), b.evalf(30)
    if not (a_value.is_finite and b_value.is_finite):
        return a_value == b_value and a_value in (sympy.oo, -sympy.oo)
    size = max(abs(a_value), abs(b_value))
    if size > 1 and abs(a_value - b_value) > size / 1000:
        return False  # sure, and needed: the digits below would mean nothing for a number like (10^5040)!
    # evalf raises its working precision until the difference has two right digits or 200 digits were not enough:
    # an exact zero stays below the bound, and so do no two different answers that somebody would write down.
    difference = abs((a - b).evalf(2, maxn=200))
    if difference <= size * sympy.Float("1e-100"):
        return True
    if not (a.has(sympy.Float) or b.has(sympy.Float)):
        return False
    return bool(difference <= sympy.Min(5e-7, size * 5e-6))


def _is_constant(expression: sympy.Basic | sympy.MatrixBase) -> bool:
    return isinstance(expression, sympy.Expr) and expression.is_number


def _is_ordered(expression: sympy.Basic | sympy.MatrixBase) -> bool:
    return isinstance(expression, sympy.Tuple) or (isinstance(expression, Interval) and expression.is_open)


def _values_differ(gold: sympy.Basic | sympy.MatrixBase, answer: sympy.Basic | sympy.MatrixBase) -> bool:
    """A quick and sure no, also where math-verify's rounding to six decimals would take tiny numbers for equal.

    Formulas are evaluated at one point; sets, tuples, intervals and matrices of numbers are compared number by number.
    """
    if isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr):
        if isinstance(gold, sympy.Symbol) or isinstance(answer, sympy.Symbol):
            return False  # words: math-verify compares their letters
        point = {name: sympy.Rational(7 * i + 18, 5 * i + 13) for i, name in enumerate(_names(gold, answer))}
        a, b = (
            expression.subs({s: point[s.name] for s in expression.free_symbols}).evalf(20)
            for expression in (gold, answer)
        )
        if not (a.is_number and b.is_number and a.is_finite and b.is_finite):
            return False
        return bool(abs(a - b) > 1e-5 * max(abs(a), abs(b)))
    if isinstance(gold, sympy.Eq) and isinstance(answer, sympy.Eq):
        explicit = gold.lhs == answer.lhs and isinstance(gold.lhs, sympy.Symbol)  # y = ... against y = ...
        return explicit and not gold.rhs.has(gold.lhs) and _values_differ(gold.rhs, answer.rhs)
    gold_parts, answer_parts = _parts(gold), _parts(answer)
    if not gold_parts or len(gold_parts) != len(answer_parts) or not all(map(_is_constant, gold_parts + answer_parts)):
        return False
    if isinstance(gold, sympy.FiniteSet) or isinstance(answer, sympy.FiniteSet):
        gold_parts, answer_parts = (sorted(parts, key=_size_order) for parts in (gold_parts, answer_parts))
    return not all(starmap(same_constant, zip(gold_parts, answer_parts, strict=True)))


def _names(*expressions: sympy.Expr) -> list[str]:
    return sorted({symbol.name for expression in expressions for symbol in expression.free_symbols})


def _parts(expression: sympy.Basic | sympy.MatrixBase) -> list[sympy.Basic]:
    if isinstance(expression, sympy.MatrixBase):
        return list(expression.flat())
    if isinstance(expression, Interval):
        return [expression.start, expression.end]
    return list(expression.args) if isinstance(expression, sympy.Tuple | sympy.FiniteSet) else []


def _size_order(number: sympy.Expr) -> tuple[float, float]:
    real, imaginary = number.evalf(20).as_real_imag()
    return float(real), float(imaginary)
