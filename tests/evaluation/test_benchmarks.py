"""Reading a benchmark's parquet file, and one clear sentence for each way in which it cannot be read."""

import hashlib

import pytest

from g2rl.evaluation.benchmarks import load_benchmark


def test_rows_become_problems(write_benchmark, sums, tmp_path):
    path = write_benchmark(sums)
    for benchmark in (load_benchmark("sums", tmp_path), load_benchmark(str(path), tmp_path / "elsewhere")):
        assert benchmark.name == "sums"
        assert benchmark.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        third = benchmark.problems[3]
        assert (third.id, third.gold, third.subject, third.level) == ("3", "6", "odd", "0")
        assert third.messages == [{"role": "user", "content": "What is 3 + 3?"}]
        assert third.num_choices is None


def test_optional_fields_may_be_absent(write_benchmark, sums, tmp_path):
    for row in sums:
        row["extra_info"] = {"index": row["extra_info"]["index"], "num_choices": 4}
    write_benchmark(sums)
    first = load_benchmark("sums", tmp_path).problems[0]
    assert (first.subject, first.level, first.num_choices) == (None, None, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("math50", "Unknown benchmark 'math50'; did you mean 'math500'"),
        ("AIME-25", "did you mean 'aime25'"),
        ("sumz", "did you mean 'sums'"),
        ("quux", "there are aime24, aime25, amc"),
        ("aime25", "prepare it with `python -m g2rl.data aime25 --out"),
        ("gsm8k_test", "prepare it with `python -m g2rl.data gsm8k --out"),
        ("no/such.parquet", "no/such.parquet does not exist"),
    ],
)
def test_unknown_benchmark_suggests_the_nearest(write_benchmark, sums, tmp_path, name, message):
    write_benchmark(sums)
    with pytest.raises(ValueError, match=message):
        load_benchmark(name, tmp_path)


def test_missing_column_is_named_with_its_file_and_row(write_benchmark, sums, tmp_path):
    path = write_benchmark([{k: v for k, v in row.items() if k != "prompt"} for row in sums])
    with pytest.raises(ValueError, match=f"{path}, row 0: no column 'prompt'"):
        load_benchmark("sums", tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward_model": {"style": "rule", "ground_truth": None}}, "row 5: reward_model.ground_truth is missing"),
        ({"prompt": []}, "row 5: prompt is missing"),
        ({"data_source": None}, "row 5: data_source is missing"),
        ({"extra_info": None}, "row 5: extra_info.index is missing"),
        ({"extra_info": {"index": 2}}, "rows 2 and 5 have the same extra_info.index, 2"),
    ],
)
def test_bad_row_is_named(write_benchmark, sums, tmp_path, change, message):
    sums[5] |= change
    write_benchmark(sums)
    with pytest.raises(ValueError, match=message):
        load_benchmark("sums", tmp_path)


def test_empty_file_is_an_error(write_benchmark, sums, tmp_path):
    import pyarrow.parquet

    path = write_benchmark(sums)
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(path).slice(0, 0), path)
    with pytest.raises(ValueError, match="has no rows"):
        load_benchmark("sums", tmp_path)
