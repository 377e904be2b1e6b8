import pytest

from g2rl.verify import DEFAULT_VERIFIERS, check_data_sources, verifier_table


def test_the_built_in_sources_are_known():
    check_data_sources(DEFAULT_VERIFIERS)
    assert verifier_table()["gpqa_diamond"] == "choice" and verifier_table()["math500"] == "math"


def test_a_user_adds_and_overrides_sources():
    check_data_sources(["mine", "math500"], {"mine": "choice"})
    assert verifier_table({"gsm8k": "choice"})["gsm8k"] == "choice"


def test_an_unknown_source_is_one_error_that_helps():
    with pytest.raises(
        ValueError, match=r"'math_500' \(did you mean 'math500'\?\).*reward\.reward_kwargs\.verifiers\.math_500"
    ):
        check_data_sources(["math500", "math_500"])
