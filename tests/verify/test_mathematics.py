r"""`verify_math` against pairs of answers whose relation a person can tell. Timed-out comparisons: see test_pool.py."""

import random
from fractions import Fraction

import pytest

from g2rl.verify import same_answer, verify_math
from g2rl.verify.mathematics import compare_plain, equal

SAME = [
    # numbers
    ("142.0", "142"), ("025", "25"), ("1/2", "0.5"), (r"\frac12", "0.5"), (r"\dfrac{-3}{4}", r"-\frac{3}{4}"),
    (".3", "0.3"), ("1,000", "1000"), (r"3,\!000", "3000"), ("1{,}234{,}567", "1234567"), (r"12\,345", "12345"),
    ("10 000", "10000"), ("10~000", "10000"), (r"10\;000", "10000"), (r"10\,000/3", "10000/3"),
    ("2 500/3", "2500/3"), ("12 345", "12345"), (r"3 \cdot 2^3 5", "120"),
    ("3 1/2", "7/2"), (r"3\ 1/2", r"3\frac12"), ("1 000 000", "1,000,000"),
    ("1/3", "0.333333"), (r"\pi", "3.141593"), (r"\sqrt{2}", "1.414214"), (r"0.\overline{3}", "1/3"),
    (r"0.1\overline{6}", r"\frac16"), (r"1.2 \times 10^5", "120000"), ("2^{10}", "1024"), ("5!", "120"),
    (r"\binom{5}{2}", "10"), (r"3\frac{1}{2}", "3.5"), (r"\log_2 8", "3"), (r"\sqrt{3+2\sqrt2}", r"1+\sqrt2"),
    (r"\frac{1}{\sqrt{2}}", r"\frac{\sqrt{2}}{2}"), ("-0", "0"), ("1.5 million", "1500000"), (r"\infty", r"\infty"),
    (r"\dfrac{1}{29,\!322,\!216}", r"\frac{1}{29322216}"), ("9" * 60, "9" * 60 + ".0"),
    (r"\sqrt2+\sqrt3-\sqrt{5+2\sqrt6}", "0"),
    # formulas
    ("(x+1)^2", "x^2+2x+1"), ("2x", r"x \cdot 2"), (r"\sin^2 x + \cos^2 x", "1"), ("3+4i", "4i+3"), ("ab", "ba"),
    (r"\left(x-1\right)", "x-1"), (r"\tan^{-1} 2", r"\arctan 2"), ("p - q", "-q+p"), ("0.5x", r"\frac{x}{2}"),
    ("3+4i", r"3 + 4 \cdot i"), ("(1+i)^2", "2i"), ("|3+4i|", "5"), (r"\frac{1}{i}", "-i"), (r"e^{i\pi}", "-1"),
    (r"-\frac34i", r"-\frac{3}{4} i"), ("1 + i, 1 - i", "1-i, 1+i"), (r"\sum_{i=1}^{3} i", "6"), ("a_1", "a_{1}"),
    # several values
    ("81, 256", "256, 81"), ("100, 200", "200, 100"), ("81, 256", "81,256"), (r"81,\, 256", "256, 81"),
    ("(3, 4)", "(3,4)"), (r"\left( 3, \frac{\pi}{2} \right)", r"(3, \pi/2)"), ("1, 2, 3", "3,2,1"),
    ("1,2", r"\{2, 1\}"),
    (r"\pm 2", "2, -2"), (r"2 \text{ or } 3", "3, 2"), (r"1 \pm \sqrt{2}", r"1+\sqrt2, 1-\sqrt2"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}"), ("[1, 2)", "[1,2)"),
    (r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty)\cup(-\infty,2)"), (r"\emptyset", r"\varnothing"),
    # equations and inequalities
    ("5", "x = 5"), ("x = 5", "5"), ("y = 2x + 3", "2x+3"), ("y = 2x + 3", "y - 2x = 3"),
    ("x^2 + y^2 = 1", "2x^2 + 2y^2 = 2"), (r"(-\infty, 5)", "x < 5"), ("x < 5", r"(-\infty, 5)"),
    # words
    (r"\text{Evelyn}", "Evelyn"), (r"\text{even}", "Even"), (r"\text{(B)}", "B"), (r"\text{A, D}", r"\text{D,A}"),
    (r"\textbf{Tuesday}", r"\text{Tuesday}"),
    # units left out or written otherwise
    (r"5 \mathrm{~cm}", "5"), (r"5 \text{ m/s}", "5"), (r"5 \mathrm{~m} / \mathrm{~s}", r"5 \text{ m/s}"),
    (r"2 \text{ cups/serving}", r"2 \text{ cups}"), (r"5 \mathrm{~m/s}", r"5 \text{ meters per second}"),
    (r"9.8 \text{ m/s}^2", r"9.8 \text{ m}/\text{s}^2"),
    (r"5 \text{ cm}", "5"), ("5", r"5\text{ cm}"), (r"5\text{ cm}", "5 centimeters"),
    (r"15\mbox{ cm}^2", r"15 \text{ sq. cm}"),
    (r"15 \mbox{ cm}^2", r"15 \text{ square centimeters}"), (r"\$18.90", "18.9"),
    (r"\$18.90", r"18.90 \text{ dollars}"),
    (r"\$18.90", r"\$18.90 \text{ per day}"), (r"\$1.5\text{ million}", "1500000"),
    ("60^\\circ", "60"), (r"60^\circ", r"60 \text{ degrees}"), ("2516_8", "2516_{8}"), ("2516_8", "2516"),
    (r"20 \text{ miles per hour}", r"20\text{ miles}/\text{hour}"), (r"8\!:\!34 \text{ p.m.}", "8:34"),
    ("1:4", "1 : 4"),
    (r"240\text{ ways.}", "240"), (r"12^{\text{th}}", "12"), (r"\approx 8.24 \text{ mph}", "8.24"),
    (r"30^\circ.", "30"),
    (r"7 \text{ integers}", r"7 \text{ values}"), (r"25^\circ", r"25^\circ\text{C}"),
    # the percent sign is a unit
    (r"10\%", "10"), ("10", r"10\%"), (r"32 \%", r"32\text{ percent}"), ("20%", r"20\%"),
]  # fmt: skip

DIFFERENT = [
    ("142", "143"), ("142.0", "142.1"), ("1/2", "0.4"), (r"\frac12", r"\frac13"), ("5", "-5"), ("1000", "1,001"),
    ("81, 256", "81256"), ("3 1/2", "31/2"), ("12 3", "123"), ("15", "12 3"), ("6", "1 2 3"), ("510", r"10\;50 0"),
    ("3 1/2", "3/2"),
    ("1000000.0", "1000001"), ("1/3", "0.33"), (r"\pi", "3.14"), (r"\sqrt{2}", "1.41"), (r"\pi", r"\frac{22}{7}"),
    ("10^{20}", "10^{20}+1"), (r"\sqrt{10^{40}+1}", "10^{20}"), (r"\infty", r"-\infty"), ("1/0", "2/0"),
    ("7", "7 million"),
    ("7", r"7 \text{ million}"), ("120", "5"), (r"3\frac12", r"\frac32"), ("12", "1 \\cdot 2"),
    ("9" * 60, "9" * 59 + "8"), ("10^{7!}!", "12"), ("10^{7!}!", r"\frac12"), ("12", "10^{7!}!"),
    # numbers that math-verify rounds to equality
    ("2^{-99}", "2^{-98}"), ("10^{-10}", "0"), ("0.0000001", "0.0000002"), ("0.0000001", "0"),
    ("(2^{-99}, 1)", "(2^{-98}, 1)"),
    (r"\begin{pmatrix} 10^{-9} \\ 1 \end{pmatrix}", r"\begin{pmatrix} 10^{-8} \\ 1 \end{pmatrix}"),
    ("2^{-99}x", "2^{-98}x"), ("x = 10^{-9}", "10^{-8}"), (r"\{10^{-9}, 1\}", r"\{10^{-8}, 1\}"),
    # percent against number and fraction at once
    (r"10\%", "0.1"), ("0.1", r"10\%"), (r"10\%", r"\frac{1}{10}"), ("50", r"5\%"),
    # units dropped
    (r"5 \text{ cm}", r"5 \text{ m}"), (r"5 \mathrm{~cm}", r"5 \mathrm{~m}"), (r"5 \text{ m/s}", r"5 \text{ m}"),
    (r"5 \text{ km/h}", r"5 \text{ m/s}"), ("5 cm", "5 km"), (r"5\text{ cm}", r"5\text{ cm}^2"),
    (r"\$5", r"5\text{ cents}"),
    ("2516_8", "2516_7"), (r"204_5", "204_12"), (r"8\!:\!34 \text{ p.m.}", r"8:34 \text{ a.m.}"), (r"10\%", "10 cm"),
    (r"5^\circ\text{C}", r"5^\circ\text{F}"), (r"7\text{ days}", r"7\text{ hours}"), ("5m", "5"), ("5m", "5d"),
    ("2c", "2"),
    # formulas
    ("(x+1)^2", "x^2+2x+2"), ("x", "y"), ("x+1", "y+1"), ("p-q", "q-p"), ("1+i", "1-i"), ("2i", "2"), (r"|x|", "x"),
    ("x^{2}", "x^3"), (r"\sin x", r"\cos x"), ("a_1", "a_2"), ("2x", "2x+10^{-9}"), ("n!", "n"),
    ("a_1", "a"), ("1+i, 1-i", "1+i, -1-i"), ("2i", "-2i"), ("i", "1"), (r"e^{i\pi}", "1"),
    # several values
    ("(3, 4)", "(4, 3)"), ("(1, 2)", "2, 1"), ("(3, 4)", "(3, 5)"), ("(5, 3)", "(7, 2)"), ("1, 2", "1"),
    ("1, 2", "1, 2, 3"),
    (r"\pm 2", "2"), ("[1, 2]", "(1, 2)"), ("[1, 2)", "[1, 2]"), ("(1,2,3)", "(1,3,2)"), (r"(1,2) \cup (3,4)", "(1,4)"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"), ("1:4", "4:1"),
    # equations and inequalities
    ("x = 5", "y = 5"), ("y = 2x+3", "y = 2x-3"), ("x < 5", "x > 5"), ("x < 5", r"x \le 5"), ("2x + z = 1", "1"),
    # words
    (r"\text{Evelyn}", "Eve"), (r"\text{even}", r"\text{odd}"), (r"\text{A}", r"\text{B}"),
    ("x", r"x \text{ is even}"), ("", ""),
    ("3", ""), ("3", r"\text{}"), ("3", "three apples and a pear"), ("", "$$"), ("", r"\%"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "answer"), SAME)
def test_same_answers(gold, answer):
    verdict = verify_math(rf"Therefore \boxed{{{answer}}}.", gold)
    assert verdict.correct
    assert verdict.answer == answer.strip()


@pytest.mark.parametrize(("gold", "answer"), DIFFERENT)
def test_different_answers(gold, answer):
    assert not verify_math(rf"Therefore \boxed{{{answer}}}.", gold).correct


def test_no_answer():
    for response in ("", "The answer is 5.", r"\boxed{}", r"\boxed{5", r"\boxed{\boxed{}}"):
        verdict = verify_math(response, "5")
        assert (verdict.correct, verdict.answer) == (False, None)


def test_same_answer_is_symmetric():
    assert same_answer("142", "142.0") and same_answer("1/2", "0.5")
    assert equal("1", "2x + z = 1") and not equal("2x + z = 1", "1")
    assert not same_answer("1", "2x + z = 1") and not same_answer("2x + z = 1", "1")


def test_exact_numbers_agree_with_fractions():
    """Random numbers in random writings: equal exactly where the fractions are. Oracle: `fractions.Fraction`."""
    rng = random.Random(0)

    def write(value: Fraction) -> str:
        whole = value.denominator == 1
        ways = [rf"\frac{{{value.numerator}}}{{{value.denominator}}}", f"{value.numerator}/{value.denominator}"]
        ways += [str(value.numerator), f"{value.numerator:,}", f"{value.numerator}.0"] if whole else []
        ways += [f"{float(value)}"] if Fraction(str(float(value))) == value else []
        return rng.choice(ways)

    for _ in range(2000):
        denominators = rng.choice([(1, 1), (2, 4), (5, 8), (3, 7)])
        a, b = (Fraction(rng.randint(-3000, 3000), d) for d in denominators)
        assert compare_plain(write(a), write(b)) == (a == b)
        assert compare_plain(write(a), write(a)) is True


def test_symbolic_and_plain_numbers_agree():
    """The same numbers through sympy (as `0 + a`) and through the quick way."""
    numbers = ["5", "-5", "0.5", r"\frac12", "5.0", "0.333333", r"\frac13", "0.33", "0.0000001", "10000000", "0"]
    for a in numbers:
        for b in numbers:
            assert equal(a, f"0+{b}") == compare_plain(a, b), (a, b)
