import pytest

from g2rl.verify.boxes import MAX_RESPONSE_CHARACTERS, last_boxed


@pytest.mark.parametrize(
    ("response", "content"),
    [
        (r"so \boxed{1}", "1"),
        (r"first \boxed{1}, then \boxed{2}.", "2"),
        (r"\boxed{1} and a cut one \boxed{2", "1"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ 1 \right.}", r"\left\{ 1 \right."),
        (r"\boxed {5}", "5"),
        (r"\\boxed{5}", "5"),
        (r"\boxed{\boxed{3}}", "3"),
        (r"\boxed{ \boxed{ \boxed{3} } }", "3"),
        (r"\boxed{x = \boxed{3}}", r"x = \boxed{3}"),
        (r"\boxed{\boxed{1} \boxed{2}}", r"\boxed{1} \boxed{2}"),
        ("}}}{{{ \\boxed{5}", "5"),
        ("\\boxed{a\0b}", "a\0b"),
        ("\\boxed{π≈3 😀}", "π≈3 😀"),
    ],
)
def test_the_last_complete_box_is_the_answer(response, content):
    assert last_boxed(response) == content


@pytest.mark.parametrize(
    "response", ["", "boxed", r"\boxed", r"\boxed5", r"\boxed{", r"\boxed{1\}", r"\boxed{1} \boxed{ }"]
)
def test_no_box_a_cut_one_or_an_empty_one_is_no_answer(response):
    assert last_boxed(response) is None


@pytest.mark.parametrize(
    "response",
    ["{" * 10**6, "\\" * 10**6 + "boxed{", "\\boxed{" * 150_000, "\\boxed" + " " * 10**6 + "{", "\\boxed{ " * 10**5],
    ids=lambda response: response[:12],
)
def test_hostile_text_takes_linear_time(response):
    """Each of these is a million signs: a quadratic search would not come to its end."""
    assert last_boxed(response) is None


def test_deep_nesting_needs_no_recursion():
    assert last_boxed("\\boxed{" * 50_000 + "1" + "}" * 50_000) == "1"


def test_only_the_end_of_a_huge_response_is_read():
    filler = "x" * MAX_RESPONSE_CHARACTERS
    assert last_boxed(filler + r"\boxed{2}") == "2"
    assert last_boxed(r"\boxed{1}" + filler) is None
