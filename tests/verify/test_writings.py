# ruff: noqa: E501, SIM905  (tables, a group of writings a line)
r"""One answer in the writings that people and models use for it, and near misses that must stay different."""

import os
import random
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from g2rl.data.reading import read_file
from g2rl.data.records import is_cut_off
from g2rl.verify import VerifierPool
from g2rl.verify.mathematics import equal

# kind -> groups of writings of one answer: every two of a group are equal, in both orders
SAME = {
    "unicode": [
        [r"\sqrt{2}", "√2", "√(2)", "√{2}", "2^½", "²√2"], ["1/2", "½", "¹⁄₂", "¹/₂", "１／２", "1⁄2", r"\frac{1}{2}"],
        ["5/2", "2½", "2 ½", "2.5", "２．５"], ["x^2", "x²", "𝑥²", "x^{2}"], ["200000", "2×10⁵", "2⋅10⁵", "2·10^5", "2✕10⁵"],
        [r"(-\infty, 3)", "(-∞, 3)", "(−∞, 3)", "（－∞，3）"], [r"x \le 3", "x ≤ 3", "x ≦ 3", "x ⩽ 3", r"x\leqslant 3"],
        [r"x \ge 3", "x ≥ 3", "x ≧ 3", "x ⩾ 3"], ["42", "４２", "42。", "4\u200b2", "\ufeff42", "4\u20602", "٤٢", "𝟒𝟐", "42\u00a0"],
        ["-5", "–5", "−5", "‑5", "－5"], ["(1, 2)", "（1，2）", "（１，２）", "(1、2)"], [r"\{1, 2\}", "｛1，2｝", "{1, 2}"],
        [r"\sqrt[3]{7}", "∛7", "³√7"], [r"\sqrt[4]{7}", "∜7"], [r"3\sqrt{1+\sqrt{5}}", "3√(1+√5)"], [r"\frac{\pi}{3}", "π/3", "𝜋/3"],
        [r"\frac{\sqrt{3}}{2}", "√3/2", "(√3)/2"], ["x_1", "x₁", "x_{1}"], ["10^{-3}", "10⁻³", "10^-3", "0.001"],
        [r"\emptyset", "∅", r"\varnothing"], [r"(1,2) \cup (3,4)", "(1,2)∪(3,4)"], [r"\pm 2", "±2"], ["6", "2×3", "12÷2", "2∙3"],
        ["1234", "１，２３４", "1 234", "1\u2009234", "1\u202f234"], [r"\mathbb{R}", "ℝ"], [r"\lfloor 7.5 \rfloor", "⌊7.5⌋", "7"],
        ["|x|", "∣x∣", r"\lvert x \rvert"], ["10\\%", "10％", "10%", "10﹪"], [r"\theta", "θ"], ["x \\neq 3", "x ≠ 3"],
        ["2516_8", "2516₈"], ["1:4", "1：4", "1∶4"],
    ],
    "money": [
        ["5", "€5"], ["300", "¥300", "300円".replace("円", "¥")], ["5", "£5", r"\pounds 5", "5 £"], ["5", "₹5"], ["5", "¢5", "5¢"],
        ["5", "₩5"], ["5", "₽5"], ["5", "฿5"], ["5", "＄5", r"\$5", "5\\$", r"\text{\$}5", "US\\$5", "USD 5", "5 dollars"],
        ["€5", "5€", "5 €", "5 euros", "EUR 5", r"\euro 5", r"\text{€}5"], ["-€5", "€-5", "-5"], ["£5", "5 pounds"],
        ["¥5", "5 yen"], ["€1.5 million", "1500000"],
    ],
    "scientific": [
        ["1.5e-3", "0.0015", "1.5E-3", r"1.5 \times 10^{-3}", "1.5×10⁻³", "1.5 x 10^-3"], ["2e5", "200000", "2E+5", "2*10^5"],
        [r"e \cdot 2", "2e"], ["6.02e23", r"6.02 \cdot 10^{23}"], [r"\num{1.5e3}", "1500"], ["-2e3", "-2000"],
    ],
    "degrees": [
        [r"\sin 30^\circ", "1/2", r"\sin(30°)", r"\sin(30^{\circ})", "0.5", r"\sin 30°", r"\sin(\frac{\pi}{6})"],
        [r"\tan(45^{\circ})", "1", r"\tan 45^\circ"], [r"2\cos 60^\circ", "1"], [r"\sin^2 45^\circ", "1/2"],
        [r"\sin 22.5^\circ", r"\sin\frac{\pi}{8}"], [r"\cos 60 \text{ degrees}", "1/2"], ["60", r"60^\circ", "60°", "60º", r"60^{\circ}"],
        [r"30^\circ, 60^\circ", "60°, 30°", "30, 60"],
    ],
    "style": [
        ["5", *(rf"\{name}{{5}}" for name in "boldsymbol bm pmb mathbf mathit mathsf mathtt mathrm mathnormal textbf".split()),
         *(rf"\{name}{{5}}" for name in "textit textsf texttt textsc text mbox emph fbox boxed underline smash".split()),
         r"\color{red}5", r"\color{red}{5}", r"\color[HTML]{FF0000}5", r"\textcolor{red}{5}", r"\textcolor[rgb]{1,0,0}{5}",
         r"\colorbox{red}{5}", r"\fcolorbox{red}{blue}{5}", r"{\bf 5}", r"\bf 5", r"\Large 5", r"\displaystyle 5",
         r"5\hspace{1mm}", r"\hspace*{1mm}5", r"5\phantom{0}", r"\hphantom{0}5", r"\vphantom{X}5", r"5\quad", r"5\kern 3pt",
         r"\mathord{5}", r"\framebox[1cm][c]{5}", r"\raisebox{1pt}{5}", r"\mathstrut 5", r"$5$", r"\(5\)", r"\[5\]",
         r"\ensuremath{5}", r"\boldsymbol{\underline{5}}", "{5}"],
        ["(1, 2)", *(rf"\{size}l(1, 2\{size}r)" for size in ("big", "Big", "bigg", "Bigg")), r"\Big(1, 2\Big)", r"\left(1, 2\right)",
         r"\lparen 1, 2\rparen", r"\mathopen{(}1,2\mathclose{)}"],
        [r"\{1, 2\}", r"\left\{1, 2\right\}", r"\lbrace 1, 2 \rbrace", r"\bigl\{1, 2\bigr\}"],
        ["3/4", *(rf"\{name}34" for name in "frac dfrac tfrac cfrac sfrac nicefrac".split()), r"\nicefrac{3}{4}", r"\frac 3 4",
         r"\frac3{4}", r"{3 \over 4}", r"\cfrac[l]{3}{4}", r"\\frac{3}{4}", r"\mathbf{\frac{3}{4}}"],
        ["12345", r"\num{12345}", r"\num{12 345}", r"12{,}345"], [r"5 \text{ cm}", r"\qty{5}{cm}", r"\SI{5}{cm}", r"5\,\mathrm{cm}", r"5 {\rm cm}"],
        ["x^2", r"x^{\mathbf{2}}", r"\mathbf{x}^2", r"x\textsuperscript{2}"], [r"\sqrt{2}", r"\sqrt 2", r"\sqrt2"],
        ["10", r"\binom{5}{2}", r"\dbinom52", r"\tbinom{5}{2}", r"{5 \choose 2}"], [r"\frac{\pi}{2}", r"\frac\pi2"],
        [r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{smallmatrix} 1 \\ 2 \end{smallmatrix}", r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}",
         r"\left(\begin{smallmatrix} 1 \\ 2 \end{smallmatrix}\right)", r"\begin{psmallmatrix} 1 \\ 2 \end{psmallmatrix}",
         r"\Big(\begin{array}{c} 1 \\ 2 \end{array}\Big)", r"\begin{pmatrix*}[r] 1 \\ 2 \end{pmatrix*}"],
        ["x", r"\mathbf{x}", r"\boldsymbol{x}", r"\text{x}"],
    ],
    "products": [["6", "2(3)", "(2)(3)", "2 (3)"], ["-6", "-2(3)", "2(-3)"], ["24", "2(3)(4)"], ["2x+2", "2(x+1)"]],
    "repeating": [
        ["1/3", r"0.\dot{3}", "0.(3)", r"0.\overline{3}", r"0.\bar3", r"0.\dot3", "0.3̅", "0.3̇", r"0.\overline 3"],
        ["1/6", r"0.1\dot6", "0.1(6)", r"0.1\overline{6}"], ["1/7", r"0.\dot{1}4285\dot{7}", "0.(142857)"],
        ["14/99", "0.1̅4̅", r"0.\dot1\dot4"], ["-1/3", "-0.(3)"],
    ],
    "words": [
        ["3", "3rd", r"3^{rd}", r"3\text{rd}", r"3^\text{rd}"], ["21", "21st"], ["12", "12ᵗʰ", "12th"],
        ["5", "5 apples", r"5 \text{ apples}", r"\text{5 apples}", "5 red apples", "5 people", "5 eggs", "5 apples."],
        ["5", r"\text{The answer is }5", "The answer is 5", "Answer: 5", r"\text{Answer: }5", "The final answer is: 5",
         r"\textbf{Answer: } 5", "So the answer is 5.", r"\approx 5"],
        ["x+1", r"\text{The answer is } x+1"], ["5 cm", r"5 \text{ cm}", r"\text{5 cm}", "5㎝"], ["15 \\text{ cm}^2", "15 \\text{ cm²}"],
    ],
}  # fmt: skip

# Groups in which no two are equal, in either order
DIFFERENT = [
    ["x²", "x^3", "x_2", "2x"], ["2½", "1", "3/2", "21/2"], ["（1，2）", "(2, 1)", "(1, 3)", "12"],
    [r"0.1\dot6", "0.16", "0.61", "0.6"], ["€5", r"\$5", "£5", "¥5", "₹5", "¢5", "₩5"], ["1e3", "3", "10", "13"], ["2e", "2", "20"],
    [r"\sin 30^\circ", r"\sin 30", r"\cos 30^\circ", "30", "-1/2"], ["√2", "2", "√3", "2²", "√22"], ["2⁵", "25", "2^6", "2₅"],
    ["10⁻³", "10^3", "7"], ["³√8", "√8", "3√8", "8"], ["4\u200b2", "4", "24"], ["１２", "21", "1"], ["42。", "4.2", "420"],
    ["–5", "5", "–6"], ["x ≤ 3", "x < 3", "x ≥ 3"], ["(-∞, 3)", "(-∞, 3]", "(3, ∞)", "(∞, 3)"], ["½", "⅓", "2", "12", "⅔"],
    ["1.5e-3", "1.5e3", "0.015", "1.5"], ["2e5", "2e4", "10e", "25"], [r"\color{red}5", r"\color{red}6", "red"],
    [r"\frac 1 2", r"\frac 2 1", "12", r"\frac 1 3"], ["2(3)", "23", "5", "(2, 3)"], ["0.(3)", "0.3", "0", "0.33"],
    [r"0.\dot{1}\dot{2}", "0.12", "4/33.1"], ["3rd", "4th", "1/3"], ["5 apples", "6 apples", "5 cm"],
    [r"\text{The answer is }5", r"\text{The answer is }6", r"\text{The answer is not }5"], ["5 abc", "5", "5 xyz"],
    ["5 factorial", "5"], ["5 squared", "5"], ["5 or 6", "5", "6"], ["5 halves", "5"], ["5 hundred", "5"], ["5 theta", "5"],
    [r"1\phantom{0}2", "12", "102"], ["5①", "51", "5"], ["2\u20623", "23", "5"], ["1\u20632", "12"], ["1\u20642", "12"],
    ["2{3}", "23"], ["{1}2", "12"], ["{2x}^2", "2x^2"], [r"3+4\mathrm{i}", "7", "3"], ["5√", "5"], [r"\cancel{5}", "5"],
    [r"\begin{smallmatrix} 1 \\ 2 \end{smallmatrix}", r"\begin{smallmatrix} 2 \\ 1 \end{smallmatrix}",
     r"\begin{smallmatrix} 1 & 2 \end{smallmatrix}"],
    [r"\begin{vmatrix} 1 & 2 \\ 3 & 4 \end{vmatrix}", r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"],
    [r"\Big[1, 2\Big)", r"\Big(1, 2\Big)", r"\Big[1, 2\Big]"], [r"\mathcal{O}", "O"], [r"\mathbb{R}", "R"], ["√(1+x)", "√1+x"],
    ["℃5", "5"], ["5℃", "5℉", "5 cm"], ["2516₈", "2516₇"], ["１，２", "12", "1.2"], ["1，234", "1234"], [r"\overline{3}", "3"],
    [r"\dot{x}", "x"], ["x′", "x"], ["-½", "½", "-2"], ["1⁄2", "12", "2"], ["A∪B", "A∩B"], ["±2", "2", "-2"], ["α", "a", "β"],
    [r"\num{12345}", "1234"], ["10％", "0.1", "10 cm"], ["5 million", "5", "5 billion"], ["€5 million", "€5"], ["5 km", "5 miles"],
    [r"\fbox{5}", r"\fbox{15}"], [r"\underline{x}", "y"], ["5 dozen", "60"], ["2 e", "2 e 5"], ["x ∈ ℝ", "x ∈ ℤ"], ["√2/2", "√(2/2)"],
]  # fmt: skip


@pytest.mark.parametrize("kind", SAME)
def test_writings_of_one_answer(kind):
    wrong = [
        (gold, answer)
        for first, *others in SAME[kind]
        for other in others
        for gold, answer in ((first, other), (other, first))
        if not equal(gold, answer)
    ]
    assert wrong == []


def test_near_misses():
    pairs = [(a, b) for group in DIFFERENT for a in group for b in group if a != b]
    assert len(pairs) >= 2 * 150
    assert [pair for pair in pairs if equal(*pair)] == []


GOLDS = [
    "42", "-7", r"\frac{3}{4}", r"-\frac{\sqrt{3}}{2}", r"2\sqrt{5}", "x^2+3x-1", r"\left(3, \frac{\pi}{2}\right)", "(1, 2)",
    r"(-\infty, 2) \cup (3, \infty)", "0.25", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\text{Evelyn}", r"90^\circ", r"10\%",
    r"\$18.90", "1,000", "3+4i", "y = 2x+3", r"[0, 1)", "2516_8", "1, 2, 3", r"15\text{ cm}^2", "(x+2)(x-3)", r"\pi r^2",
]  # fmt: skip


def meaning_free(gold: str, rng: random.Random) -> str:
    """The gold answer written in another way that says the same."""
    number = re.fullmatch(r"-?\d+", gold)
    wide = gold.translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    superscripts = re.sub(
        r"\^(?:(\d)|\{(\d)\})(?!\d)",
        lambda m: (m[1] or m[2]).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")),
        gold,
    )
    big = (
        gold if r"\left" in gold or r"\!" in gold or "[" in gold else gold.replace("(", r"\big(").replace(")", r"\big)")
    )
    unicode = gold.replace(r"\infty", "∞").replace(r"\pi", "π ").replace(r"\cup", "∪").replace(r"^\circ", "°")
    return rng.choice(
        [
            wide
            if "," not in gold and "^" not in gold and r"\frac" not in gold and r"\sqrt" not in gold
            else gold + "。",
            superscripts if r"\text" not in gold else gold,
            big,
            unicode,
            rf"\color{{blue}}{{{gold}}}",
            rf"\boldsymbol{{{gold}}}",
            rf"\fbox{{{gold}}}",
            rf"{gold}\hspace{{1mm}}",
            rf"\text{{The answer is }} {gold}",
            rf"\displaystyle {gold}",
            gold.replace(r"\frac", r"\dfrac"),
            re.sub(r"(?<=\d)(?=\d)", "\u200b", gold) if number else "\u200b" + gold,
            gold.replace("-", "−"),
        ]
    )


def test_a_meaning_free_change_keeps_the_verdict():
    rng = random.Random(0)
    for gold in GOLDS:
        for other in (gold, rng.choice(GOLDS)):
            for _ in range(4):
                answer = meaning_free(other, rng)
                assert equal(gold, answer) == equal(gold, other), (gold, answer)
                assert equal(answer, gold) == equal(other, gold), (answer, gold)


@pytest.mark.real_data
@pytest.mark.skipif("G2RL_TEST_DATA" not in os.environ, reason="G2RL_TEST_DATA is not set")
@pytest.mark.parametrize(
    "name", ["math_train", "math500", "aime24", "aime25", "amc", "gsm8k_train", "gsm8k_test", "dapo_math_17k"]
)
def test_a_meaning_free_change_of_real_golds_keeps_the_verdict(name):
    """300 golds of each set, those that are no plain number first, each against itself and the next one's: a writing has
    the verdict of what it was made from."""
    rng = random.Random(1)
    (path,) = Path(os.environ["G2RL_TEST_DATA"]).glob(f"{name}.jsonl*")
    golds = [answer for row in read_file(path) if not is_cut_off(answer := row["answer"])]
    golds = sorted(rng.sample(golds, len(golds)), key=str.isdigit)[:301]
    pairs = [(other, gold) for gold, following in pairwise(golds) for other in (gold, following)]
    written = [(meaning_free(answer, rng), gold) for answer, gold in pairs]
    with VerifierPool(2) as pool:
        before, after = (
            [verdict.correct for verdict in pool.verify_many([(rf"\boxed{{{a}}}", gold) for a, gold in which])]
            for which in (pairs, written)
        )
    assert [found for found in zip(pairs, written, before, after, strict=True) if found[2] != found[3]] == []


def test_the_command_line_explains_a_verdict():
    def explained(*arguments: str) -> list[str]:
        command = [sys.executable, "-m", "g2rl.verify", "--", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    assert explained("1/2", "½") == [
        "verdict: right", "gold:    1/2  ->  1/2", r"answer:  ½  ->  \frac{1}{2}", "decided by: exact arithmetic",
    ]  # fmt: skip
    assert explained("€5", r"\$5")[3] == "decided by: different units"
    assert explained("(x+1)^2", "x²+2x+1")[0::3] == ["verdict: right", "decided by: math-verify"]
