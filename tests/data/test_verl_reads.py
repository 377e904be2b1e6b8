"""verl's own dataset class reads the files."""

import pytest

from g2rl.data.__main__ import main
from g2rl.data.arithmetic import problems
from g2rl.models.tokenizer import build_tokenizer

rl_dataset = pytest.importorskip("verl.utils.dataset.rl_dataset")


def test_arithmetic_and_a_users_file_together(tmp_path):
    from omegaconf import OmegaConf

    main(["arithmetic", "--out", str(tmp_path / "a"), "--train-size", "20", "--val-size", "5"])
    mine = tmp_path / "mine.csv"
    mine.write_text("problem,answer,choices\n" + "\n".join(f'P{n},B,"[""x"", ""y""]"' for n in range(20)))
    main(["jsonl", "--source", str(mine), "--data-source", "mmlu_pro", "--out", str(tmp_path / "b")])
    stream = problems("train", seed=0)
    tokenizer = build_tokenizer([next(stream).question for _ in range(100)], vocab_size=300)
    config = OmegaConf.create({"max_prompt_length": 256, "filter_overlong_prompts": False, "cache_dir": str(tmp_path)})
    dataset = rl_dataset.RLHFDataset(
        data_files=[str(tmp_path / folder / "train.parquet") for folder in "ab"], tokenizer=tokenizer, config=config
    )
    assert len(dataset) == 20 + 18
    first, last = dataset[0], dataset[len(dataset) - 1]
    assert first["data_source"] == "arithmetic"
    assert first["raw_prompt"][0]["content"].startswith("What is")
    assert last["reward_model"]["ground_truth"] == "B"
    assert last["extra_info"]["num_choices"] == 2
    assert last["raw_prompt"][-1]["content"].endswith("\n\nA. x\nB. y")
