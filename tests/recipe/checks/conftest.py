"""What the tests of the checks share: a description of the paper's model, and data that are fine."""

import pytest
from transformers import Qwen3Config

from g2rl.data.rows import make_row, write_rows


@pytest.fixture(scope="session")
def qwen3_4b():
    return Qwen3Config(
        vocab_size=151_936,
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        max_position_embeddings=32_768,
        tie_word_embeddings=True,
    )


@pytest.fixture(scope="session")
def data_file(tmp_path_factory):
    rows = [make_row("arithmetic", "1 + 1?", "2", index=i, split="train", system_prompt=None) for i in range(32)]
    return write_rows(rows, tmp_path_factory.mktemp("data") / "train.parquet")
