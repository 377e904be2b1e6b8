"""One row becomes one record, or a sentence that names the row."""

import pytest

from g2rl.data.records import is_cut_off, lettered_options, to_record


def test_options_in_the_text():
    assert lettered_options("Which?\n\na) x\n\nA. d\nB. a\nC. b\nD. c") == 4
    assert lettered_options("A. Einstein\nasked: Which?\n\nA. x\nB. y") == 2
    assert lettered_options("Which?\n\nA. x\nC. y") == 0
    assert lettered_options("no options") == 0


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"problem": "P"}, "^here: no 'answer'; it has problem"),
        ({"answer": "1"}, "^here: no 'problem'; it has answer"),
        ({"problem": " ", "answer": "1"}, "^here: no 'problem': it is ' '"),
        ({"problem": "P", "answer": None}, "^here: no 'answer': it is None"),
        ({"problem": "P", "answer": ["1"]}, "^here: no 'answer'"),
        ({"problem": "P", "answer": "C", "choices": ["x", "y"]}, "^here: 'answer' is 'C', with 2 choices"),
        ({"problem": "P", "answer": "A", "choices": []}, "^here: 'choices' must hold"),
        ({"problem": "P", "answer": "A", "choices": ["x", ""]}, "^here: 'choices' must hold"),
        ({"problem": "P", "answer": "A", "choices": "x|y"}, "^here: 'choices' is 'x|y', not a list"),
    ],
)
def test_bad_rows(row, message):
    with pytest.raises(ValueError, match=message):
        to_record(row, "here")


def test_numbers_are_answers_too():
    assert to_record({"problem": "P", "answer": 42}, "here").answer == "42"
    assert to_record({"problem": "P", "answer": 142.0, "level": 3}, "here").extra == {"level": 3}


@pytest.mark.parametrize(
    ("answer", "cut_off"),
    [
        ("\\frac{2\\sqrt{35", True),
        ("\\frac{2\\sqrt{35}", True),
        ("\\frac{1}{2}", False),
        ("x = \\left\\{ 1, 2 \\right.", False),
        ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", False),
        ("\\{ \\text{a", True),
        ("1}", False),
    ],
)
def test_an_answer_is_cut_off_where_a_brace_is_never_closed(answer, cut_off):
    assert is_cut_off(answer) is cut_off
