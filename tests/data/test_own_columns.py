import csv
import gzip
import json

import pyarrow.parquet as pq
import pytest

from g2rl.data.__main__ import main
from g2rl.data.own_columns import parse_columns, recognise


@pytest.mark.parametrize(
    ("row", "line"),
    [
        ({"problem": "Q", "answer": "18"}, "problem from problem, answer from answer"),
        ({"question": "Q", "final_answer": 18}, "problem from question, answer from final_answer"),
        ({"prompt": "Q", "ground_truth": ["18"]}, "problem from prompt, answer from ground_truth"),
        ({"question": "Q", "solution": r"so \boxed{18}"}, "problem from question, answer from solution's box"),
        ({"question": "Q", "answer": "9*2=18\n#### 18"}, "problem from question, answer from answer after ####"),
        (
            {
                "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}],
                "reward_model": {"style": "rule", "ground_truth": "18"},
            },
            "problem from prompt, answer from reward_model.ground_truth",
        ),
        ({"problem": "Q", "answer": "18", "solution": r"\boxed{18.0}"}, "problem from problem, answer from answer"),
    ],
)
def test_shapes(row, line, capsys):
    (read,) = recognise([row], "file")
    assert (read["problem"], str(read["answer"])) == ("Q", "18")
    assert capsys.readouterr().err == f"file: {line}\n"


def test_disagreement_and_override():
    rows = [{"question": "Q", "answer": "1"}, {"question": "Q", "answer": "1", "solution": r"\boxed{2}"}]
    with pytest.raises(ValueError, match=r"file, row 1: answer and solution disagree .* --columns"):
        recognise(rows, "file")
    assert recognise(rows[1:], "file", parse_columns("answer=solution"))[0]["answer"] == "2"
    with pytest.raises(ValueError, match=r"row 0: no 'answer' \(answer, final_answer"):
        recognise([{"question": "Q"}], "file")
    with pytest.raises(ValueError, match="--columns"):
        parse_columns("subject=x")


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "jsonl.gz"])
def test_files_with_bom_and_crlf(tmp_path, kind, capsys):
    rows = [{"question": f"What is {n}+{n}?", "solution": rf"It is \boxed{{{2 * n}}}."} for n in range(20)]
    source = tmp_path / f"own.{kind}"
    if kind == "csv":
        with source.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    else:
        text = json.dumps(rows) if kind == "json" else "\r\n".join(map(json.dumps, rows))
        content = text.encode("utf-8-sig")
        source.write_bytes(gzip.compress(content) if kind.endswith("gz") else content)
    main(["jsonl", "--source", str(source), "--out", str(tmp_path / "out")])
    assert "problem from question, answer from solution's box" in capsys.readouterr().err
    written = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert len(written) == 18
    for row in written:
        number = int(row["prompt"][-1]["content"].split("+")[1].rstrip("?"))
        assert row["reward_model"]["ground_truth"] == str(2 * number)
