"""The real benchmark files, prepared and read back."""

import gzip
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import main
from g2rl.data.check import check_rows
from g2rl.data.records import is_cut_off
from g2rl.verify import VerifierPool, verifier_table

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif("G2RL_TEST_DATA" not in os.environ, reason="G2RL_TEST_DATA is not set"),
]

FILES = {  # file -> name of the set, of the parquet file, number of problems, choices
    "math_train.jsonl": ("math", "math", 7401, None),  # 99 of 7,500 answers are cut off in the data
    "dapo_math_17k.jsonl.gz": ("dapo_math_17k", "dapo_math_17k", 17917, None),
    "gsm8k_train.jsonl": ("gsm8k", "gsm8k_train", 7473, None),
    "gsm8k_test.jsonl": ("gsm8k", "gsm8k_test", 1319, None),
    "math500.jsonl": ("math500", "math500", 500, None),
    "amc.jsonl": ("amc", "amc", 83, None),
    "aime24.jsonl": ("aime24", "aime24", 30, None),
    "aime25.jsonl": ("aime25", "aime25", 30, None),
    "gpqa_diamond.jsonl.gz": ("gpqa_diamond", "gpqa_diamond", 198, {4}),
    "mmlu_pro.jsonl.gz": ("mmlu_pro", "mmlu_pro", 12032, set(range(1, 11))),
}


@pytest.fixture(scope="module")
def pool():
    with VerifierPool(2, 5.0) as pool:
        yield pool


@pytest.mark.parametrize("file", FILES)
def test_prepared_and_read_back(tmp_path, file, pool, capsys):
    name, stem, count, choices = FILES[file]
    source = Path(os.environ["G2RL_TEST_DATA"]) / file
    main([name, "--source", str(source), "--out", str(tmp_path)])
    path = tmp_path / f"{stem}.parquet"
    checked = check_rows(path)
    assert (checked.count, checked.data_sources) == (count, {name})

    content = gzip.decompress(source.read_bytes()) if file.endswith(".gz") else source.read_bytes()
    originals = [json.loads(line) for line in content.decode().split("\n") if line]
    cut_off = [number for number, original in enumerate(originals) if is_cut_off(original["answer"])]
    originals = [original for original in originals if not is_cut_off(original["answer"])]
    report = capsys.readouterr().err
    assert len(cut_off) == (99 if name == "math" else 0) and ("left out" in report) is bool(cut_off)
    if cut_off:
        assert "math: 99 of 7500 problems left out, since their answers are cut off" in report
        assert f"numbers {', '.join(map(str, cut_off))}, counted from 0" in report
    rows = pq.read_table(path).to_pylist()
    assert [row["extra_info"]["index"] for row in rows] == list(range(count))
    for row, original in zip(rows, originals, strict=True):
        assert row["prompt"][-1]["content"].startswith(original["problem"].strip())
        assert row["extra_info"]["id"] == original["id"]
        if choices is None or "choices" not in original:
            assert row["reward_model"]["ground_truth"] == original["answer"].strip()
        else:
            right = original["choices"]["ABCDEFGHIJ".index(original["answer"])].strip()
            assert f"\n{row['reward_model']['ground_truth']}. {right}" in row["prompt"][-1]["content"]
    if choices is not None:
        assert {row["extra_info"]["num_choices"] for row in rows} <= choices

    # Every answer is right, by the verifier that training and evaluation would choose.
    golds = [row["reward_model"]["ground_truth"] for row in rows]
    verdicts = [
        pool.submit(
            f"We get \\boxed{{{gold}}} in the end.",
            gold,
            verifier=verifier_table()[row["data_source"]],
            num_choices=row["extra_info"]["num_choices"] or 10,
        )
        for row, gold in zip(rows, golds, strict=True)
    ]
    assert [gold for gold, verdict in zip(golds, verdicts, strict=True) if not verdict.result().correct] == []


def test_training_sets_overlap_with_benchmarks_as_known(tmp_path, capsys):
    for name, file in (("math", "math_train.jsonl"), ("math500", "math500.jsonl"), ("amc", "amc.jsonl")):
        main([name, "--source", f"{os.environ['G2RL_TEST_DATA']}/{file}", "--out", str(tmp_path)])
    assert "also in" not in capsys.readouterr().err
    main(
        ["dapo_math_17k", "--source", f"{os.environ['G2RL_TEST_DATA']}/dapo_math_17k.jsonl.gz", "--out", str(tmp_path)]
    )
    report = capsys.readouterr().err
    assert f"12 of its problems are also in {tmp_path / 'amc.parquet'}" in report
    assert f"6 of its problems are also in {tmp_path / 'math500.parquet'}" in report


def test_a_users_file_of_real_problems(tmp_path):
    source = f"{os.environ['G2RL_TEST_DATA']}/gsm8k_train.jsonl"
    main(["jsonl", "--source", source, "--data-source", "gsm8k", "--val-size", "64", "--out", str(tmp_path)])
    assert check_rows(tmp_path / "train.parquet").count == 7473 - 64
    assert check_rows(tmp_path / "val.parquet").count == 64
