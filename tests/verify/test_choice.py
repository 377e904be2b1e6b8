import pytest

from g2rl.verify import verify_choice
from g2rl.verify.choice import choice_letter


@pytest.mark.parametrize(
    "box",
    [
        "C", "c", " C ", "C.", "C)", "(C)", "[C]", "(c)", r"\text{C}", r"\text{(C)}", r"\textbf{C}", r"\mathrm{C}",
        r"\mathbf{(C)}", r"\boldsymbol{C}", r"\textbf{\text{C}}", "$C$", "**C**", "C: 12 mg", "C. Carbon", "C) Carbon",
        "(C) Carbon", "(C) a (partial) list", r"\text{(C) } 5", "C - Carbon", "option C", r"\text{Option C}",
        "(C) f(x) = 2x", "(C) (x + 1)", "C. f(a), g(b)", "(C), that is (C)",
        "Answer: C", "the correct answer is C", r"\text{C}.", r"\ C",
    ],
)  # fmt: skip
def test_every_usual_writing_of_an_option(box):
    assert choice_letter(box, 4) == "C"
    assert verify_choice(rf"I think \boxed{{{box}}}.", "C", 4).correct
    assert not verify_choice(rf"I think \boxed{{{box}}}.", "B", 4).correct


@pytest.mark.parametrize(
    "box",
    [
        "Carbon", "A cat", "12", "E", "(E)", "A, C", "(A) and (C)", "(A) and (E)", "(A); (C)", "(A) or option (C)",
        r"(A) \quad (C)", "(A), (B)", "(A)(B)", "A. or (B)", "A and B", "CD", r"\text{none}", "-", "А",
    ],
)  # fmt: skip
def test_what_is_no_option_is_no_answer(box):
    assert choice_letter(box, 4) is None


def test_letters_end_with_the_last_option():
    assert verify_choice(r"\boxed{J}", "J", 10).correct
    assert verify_choice(r"\boxed{J}", "J", 9).answer is None
