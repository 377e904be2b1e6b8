"""The table of several runs beside the published numbers."""

import json
import re

import pytest

from g2rl.evaluation.__main__ import main
from g2rl.evaluation.compare import comparison_rows, decoding_differences, labelled, latex, load_results, markdown


def result(benchmark, *, num_samples=16, **settings):
    decoding = {"temperature": 0.8, "top_p": 1.0, "top_k": -1, "max_tokens": 8192, "seed": 0, "dtype": "auto"}
    decoding |= {"benchmark": benchmark, "data_sha256": "ab", "num_samples": num_samples, **settings}
    value = {"mean": 0.4712, "low": 0.3, "high": 0.6}
    names = ["pass@1", "pass@2", f"pass@{num_samples}", f"maj@{num_samples}"]
    return {"settings": decoding, "num_samples": num_samples, "metrics": dict.fromkeys(names, value)}


@pytest.fixture
def runs(tmp_path):
    for name, benchmark, settings in [
        ("a", "aime25", {}),
        ("a", "mmlu_pro", {}),
        ("b_1", "aime25", {"temperature": 1.0, "seed": 3, "num_samples": 4}),
    ]:
        folder = tmp_path / name / benchmark
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps(result(benchmark, **settings)))
    return tmp_path


def test_ours_and_published_numbers_stand_in_one_table(runs):
    columns, rows = comparison_rows(load_results([str(runs / "a"), f"mine={runs}/b_1/aime25"]))
    assert columns == ["pass@1", "maj@4", "pass@4", "maj@16", "pass@16"]
    assert [(row.benchmark, row.name) for row in rows[:2]] == [("aime25", "a"), ("aime25", "mine")]
    assert rows[0].cells["pass@1"] == "47.1 [30.0, 60.0]" and "pass@2" not in rows[0].cells
    table = {(row.benchmark, row.name): row.cells for row in rows}
    published = table["aime25", "g2rl, Qwen3-4B-Base (arXiv:2512.15687)"]
    assert published == {"pass@1": "20.1", "maj@16": "29.0", "pass@16": "45.0"}
    assert table["mmlu_pro", "g2rl, Qwen3-4B-Base (arXiv:2512.15687)"] == {"pass@1": "58.47"}
    assert sum(row.benchmark == "aime25" for row in rows) == 2 + 8


def test_markdown_and_latex_have_every_cell(runs):
    columns, rows = comparison_rows(load_results([str(runs / "a"), str(runs / "b_1")]))
    lines = markdown(columns, rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert {line.count("|") for line in lines} == {len(columns) + 3}
    tex = latex(columns, rows)
    assert tex.count(r" \\") == 1 + len(rows) and r"b\_1" in tex and tex.count(r"\midrule") == 2
    body = [line for line in tex.splitlines() if line.endswith(r"\\")]
    assert {line.count("&") for line in body} == {len(columns) + 1}


def test_decoding_settings_that_differ_are_named(runs):
    lines = decoding_differences(load_results([str(runs / "a"), str(runs / "b_1")]))
    assert "aime25: temperature differs between the runs: a 0.8, b_1 1.0." in lines
    assert "aime25: num_samples differs between the runs: a 16, b_1 4." in lines
    assert "aime25: seed differs between the runs: a 0, b_1 3." in lines
    assert "aime25: temperature differs from arXiv:2512.15687, 0.8: b_1 1.0." in lines
    assert [line for line in lines if "aime25: max_tokens differs" in line] == [
        "aime25: max_tokens differs from arXiv:2512.15687 (Qwen3-4B-Base), 12288: a 8192, b_1 8192."
    ]
    assert not [line for line in lines if "mmlu_pro: temperature" in line]


def test_command_prints_the_table(runs, capsys):
    main(["--compare", str(runs / "a"), str(runs / "b_1")])
    printed = capsys.readouterr().out
    assert re.search(r"^\| aime25 +\| a +\| +47\.1 \[30\.0, 60\.0\] \|", printed, re.MULTILINE)
    assert r"\toprule" in printed and "differs" in printed


def test_code_results_stand_beside_both_readings_of_their_model(tmp_path, capsys):
    for benchmark in ("livecodebench", "codeforces"):
        folder = tmp_path / "a" / benchmark
        folder.mkdir(parents=True)
        of_programs = result(benchmark)
        del of_programs["metrics"]["maj@16"]
        (folder / "result.json").write_text(json.dumps(of_programs))
    columns, rows = comparison_rows(load_results([str(tmp_path / "a")]))
    assert columns == ["pass@1", "rating", "pass@16"]
    table = {(row.benchmark, row.name.partition(",")[0]): row.cells for row in rows}
    assert table["livecodebench", "progrpo"] == {"pass@1": "36.47", "pass@16": "54.12"}
    assert table["livecodebench", "grpo"] == {"pass@1": "34.94", "pass@16": "53.76"}
    assert table["codeforces", "flowrl"] == {"rating": "about 1129"}
    lines = decoding_differences(load_results([str(tmp_path / "a")]))
    assert any("DeepSeek-R1-Distill-Qwen-7B" in line and "Qwen2.5-7B" in line for line in lines)


def test_a_folder_without_result_is_one_clear_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--compare", str(tmp_path)])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path} holds no result.json; run the evaluation there first.\n"


def test_a_result_that_is_cut_off_is_named(runs, capsys):
    path = runs / "a" / "aime25" / "result.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(SystemExit):
        main(["--compare", str(runs / "a")])
    assert f"error: {path} is not whole" in (error := capsys.readouterr().err) and "run the evaluation again" in error


def test_labels():
    assert labelled("g2rl=runs/x")[0] == "g2rl"
    assert labelled("runs/lr=3/x")[0] == "x"
    assert labelled("runs/g2rl_1/checkpoints/global_step_30/actor")[0] == "g2rl_1-global_step_30"
    assert labelled("Qwen/Qwen3-4B-Base") == ("Qwen3-4B-Base", labelled("x=Qwen/Qwen3-4B-Base")[1])
