"""Whose reward counts where a data source is known to this project's judge and to verl's scorers."""

import json
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from g2rl.data.check import check_rows
from g2rl.data.rows import make_row, write_rows
from recipe.g2rl.rewards.selection import choose_reward

OURS = json.dumps({"tests": [{"stdin": "1", "stdout": "1"}]})
VERLS = json.dumps({"inputs": ["1"], "outputs": ["1"]})


@pytest.fixture
def choose(tmp_path):
    def line(*rows: tuple[str, str]) -> str:
        made = [make_row(source, "P", gold, index=0, split="train", system_prompt=None) for source, gold in rows]
        checked = check_rows(write_rows(made, tmp_path / "train.parquet"))
        with initialize_config_dir(str(Path(__file__).parents[3] / "configs"), version_base=None):
            config = compose("trainer")
        said = choose_reward(config, checked.data_sources, checked.unreadable)
        assert bool(config.get("runs_programs")) == ("programs run under" in said)
        return said

    return line


def test_the_form_of_the_tests_decides_who_judges_codeforces(choose):
    assert choose(("codeforces", OURS)).startswith("rewards: this project's verifiers, for codeforces; programs run")
    assert choose(("codeforces", OURS), ("math", "2")).startswith(
        "rewards: this project's verifiers, for codeforces, m"
    )
    assert choose(("codeforces", VERLS)).startswith("rewards: verl's scorers for codeforces")
    assert choose(("codeforces", VERLS), ("apps", VERLS)).startswith("rewards: verl's scorers for apps, codeforces")
    assert choose(("codeforces", VERLS), ("math", "2")).startswith("rewards: verl's scorers for codeforces, math")


def test_nobody_judges_tests_in_a_form_that_it_does_not_read(choose):
    with pytest.raises(ValueError, match="no scorer for data source 'codeforces' as its rows are"):
        choose(("codeforces", OURS), ("apps", VERLS))
    with pytest.raises(ValueError, match=r"row 0: .* has tests in the form of verl's prime_code"):
        choose(("deepcoder", VERLS))


def test_nobody_looks_into_remote_files(composed):
    """Who knows their data sources? Not the run, before it starts."""
    config = composed("data.train_files=hdfs://a/train.parquet")
    with pytest.raises(ValueError, match=r"^hdfs://a/train.parquet is not looked into .*custom_reward_function"):
        choose_reward(config, set(), {})
    config.reward.reward_manager.name = "dapo"
    assert choose_reward(config, set(), {}).startswith("rewards: verl's scorers")


def test_a_function_is_found_from_every_folder(composed, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("def compute_score(**_):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path)
    for path in ("mine.py", f"file://{tmp_path}/mine.py"):
        config = composed(f"reward.custom_reward_function.path={path}")
        choose_reward(config, {"a"}, {})
        kwargs = config.reward.custom_reward_function.reward_kwargs
        assert kwargs.user_path == str(tmp_path / "mine.py")


def test_verls_remote_manager_gets_the_function_itself(composed, tmp_path):
    """It takes no coroutine, which ours is, and has processes of its own."""
    (tmp_path / "mine.py").write_text("def compute_score(**_):\n    return 1.0\n")
    config = composed("reward.reward_manager.name=remote")
    choose_reward(config, {"openai/gsm8k"}, {})
    assert config.reward.custom_reward_function.path is None
    config.reward.custom_reward_function.path = f"file://{tmp_path}/mine.py"
    choose_reward(config, set(), {})
    assert config.reward.custom_reward_function.path == str(tmp_path / "mine.py")
    assert config.reward.custom_reward_function.name == "compute_score"
