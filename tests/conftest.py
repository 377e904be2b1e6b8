import os
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Before anything imports verl, which asks for its platform once: the tests run without a GPU.
os.environ.setdefault("VERL_PLATFORM", "cpu")


START = time.monotonic()


def pytest_addoption(parser):
    parser.addoption("--minutes", type=float, help="no long test starts later than this; the others are skipped")


def is_slow(item):
    return item.get_closest_marker("slow") is not None


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks, or every test is a group of its own
def pytest_collection_modifyitems(items):
    """One of two processes trains, one run after the other; the other takes the rest, file by file. Long ones last.

    Of these the run that ten faults hit comes first: where there is time for one, it is the one to have.
    """
    items.sort(key=lambda item: (is_slow(item), item.path.name != "test_faults.py"))
    for item in items:
        of_file = f"{item.path} slow" if is_slow(item) else str(item.path)  # xdist runs a group as a whole
        group = "e2e" if item.get_closest_marker("e2e") else of_file
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_runtest_setup(item):
    minutes = item.config.getoption("minutes")
    if minutes and is_slow(item) and time.monotonic() - START > 60 * minutes:
        pytest.skip(f"{minutes:g} minutes are over")


@pytest.fixture(scope="session")
def composed():
    """`composed(*overrides)`: the configuration of a run, as the scripts compose it."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    import recipe.g2rl.settings.config  # noqa: F401  (the configuration's resolver)

    def make(*overrides, name="trainer"):
        GlobalHydra.instance().clear()
        with initialize_config_dir(str(ROOT / "configs"), version_base=None):
            return compose(name, ["trainer.experiment_name=test", *overrides])

    return make


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """Folder of a model without weights: what a check that reads config.json and the tokenizer needs."""
    from transformers import Qwen3Config

    from g2rl.models.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("model")
    Qwen3Config(vocab_size=300, hidden_size=64, num_hidden_layers=2, head_dim=32).save_pretrained(folder)
    build_tokenizer(["What is 1 + 1?"], vocab_size=300).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def policy(tmp_path_factory):
    """Folder of a randomly initialised Qwen3 policy with tokenizer and chat template."""
    import torch  # here, so that tests that need neither start at once
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from g2rl.models.tokenizer import build_tokenizer

    folder = tmp_path_factory.mktemp("policy")
    tokenizer = build_tokenizer(["system user assistant What is plus the answer \\boxed{7}"] * 4, 300)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=256,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype=torch.float32,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def write_benchmark(tmp_path):
    """Writes verl rows as a parquet file and returns its path."""

    def write(rows, name="sums"):
        import pyarrow as pa
        import pyarrow.parquet

        path = tmp_path / f"{name}.parquet"
        pa.parquet.write_table(pa.Table.from_pylist(rows), path)
        return path

    return write


@pytest.fixture
def sums():
    """Eight rows of additions in two subjects and two levels."""
    return [
        {
            "data_source": "arithmetic",
            "prompt": [{"role": "user", "content": f"What is {i} + {i}?"}],
            "reward_model": {"style": "rule", "ground_truth": str(2 * i)},
            "extra_info": {"index": i, "subject": "even" if i % 2 == 0 else "odd", "level": i // 4},
        }
        for i in range(8)
    ]
