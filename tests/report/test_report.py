"""The report of several runs: what is read, what is drawn, and the page as a browser shows it without a network."""

import json
import math
import random
import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from g2rl.report import plot_run, summary_table
from g2rl.report.__main__ import main
from g2rl.report.curves import draw_series, pass_at_k_curves
from g2rl.report.runs import by_label, label_of, load_run, read_metrics
from g2rl.report.style import METHOD_COLORS, figure, label_colors

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write_run(folder, seed, start=0.3):
    """A run of 20 steps whose pass rate rises by a point a step."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(21):
            data = {}
            if step % 10 == 0:
                rate = start + step / 100
                data |= {f"val/arithmetic/pass@{k}": 1 - (1 - rate) ** k for k in (1, 2, 4)}
                data |= {"val/arithmetic/maj@4": rate, "val-core/arithmetic/acc/mean@4": rate}
            if step:
                data |= {
                    "reward/pass_rate": start + step / 100,
                    "critic/score/mean": 2 * (start + step / 100) - 1,
                    "response_length/mean": 40 + rng.random(),
                    "actor/entropy": math.exp(-step / 20),
                    "exploration/cosine_mean": 0.3 - step / 100,
                    "exploration/negative_pair_share": step / 100,
                    "timing_s/step": 4.0,
                }
            file.write(json.dumps({"step": step, "data": data}) + "\n")
    return folder


def write_evaluation(folder):
    folder.mkdir(parents=True)
    metrics = {f"pass@{k}": {"mean": 0.2 * k, "low": 0.1 * k, "high": 0.22 * k} for k in (1, 2, 4)}
    settings = {"benchmark": "aime25", "temperature": 1.0, "top_p": 1.0, "top_k": -1, "max_tokens": 8192}
    settings |= {"num_samples": 4, "seed": 0, "dtype": "auto", "data_sha256": "ab"}
    result = {"settings": settings, "num_samples": 4, "metrics": metrics}
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def test_metrics_of_a_resumed_and_killed_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        '{"step": 0, "data": {"a": 1, "text": "x", "flag": true}}',
        '{"step": 2, "data": {"a": 2.5}}',
        '{"step": 3, "data": {"a": 9',
        '{"step": 2, "data": {"a": 3, "b": NaN}}',
        '{"step": 1, "data": {"a": 4}}',
    ]
    path.write_text("\n".join(lines))
    metrics = read_metrics(path)
    assert metrics["a"] == {0: 1.0, 1: 4.0, 2: 3.0} and list(metrics["a"]) == [0, 1, 2]
    assert math.isnan(metrics["b"][2]) and set(metrics) == {"a", "b"}


def test_labels_put_seeds_together(tmp_path):
    for name in ("g2rl_seed1", "g2rl-seed-2", "g2rl.seed=3", "g2rl/seed4"):
        assert label_of(tmp_path / name) == "g2rl"
    assert label_of(tmp_path / "g2rl_1") == "g2rl_1"
    assert label_of(tmp_path / "g2rl-seed1/evaluation") == "g2rl"
    colors = label_colors(["g2rl", *"abcdefghij"])
    assert len(set(colors.values())) == 11 and colors["g2rl"] == METHOD_COLORS["g2rl"]
    write_run(tmp_path / "a_seed1", 1)
    write_run(tmp_path / "a_seed2", 2)
    runs = [load_run(str(tmp_path / "a_seed1")), load_run(f"b={tmp_path}/a_seed2"), load_run(str(tmp_path / "a_seed2"))]
    assert {label: len(of_label) for label, of_label in by_label(runs).items()} == {"a": 2, "b": 1}


def test_a_folder_that_is_no_run_is_one_clear_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path)])
    assert stopped.value.code == 2
    assert "error: " in (error := capsys.readouterr().err) and "is no run" in error


def test_a_result_that_is_cut_off_is_one_clear_error(tmp_path, capsys):
    path = write_evaluation(tmp_path / "a") / "result.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(SystemExit):
        main([str(tmp_path / "a"), "--out", str(tmp_path / "out")])
    assert f"error: {path} is not whole" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_band_reaches_from_the_lowest_to_the_highest_seed():
    with figure(1, 1) as (_, (ax,)):
        draw_series(ax, [{0: 1.0, 1: 2.0, 2: 9.0}, {0: 3.0, 1: 6.0}, {0: 2.0, 1: 1.0}], "red")
        (line,) = ax.lines
        np.testing.assert_allclose(line.get_xydata(), [[0, 2], [1, 3]])
        (band,) = ax.collections
        corners = {tuple(point) for path in band.get_paths() for point in path.vertices}
        assert corners == {(0, 1), (0, 3), (1, 1), (1, 6)}


def test_pass_at_k_is_the_last_validation_or_the_evaluation(tmp_path):
    write_run(tmp_path / "a", 1)
    write_evaluation(tmp_path / "a" / "evaluation" / "aime25")
    curves = pass_at_k_curves(load_run(str(tmp_path / "a")))
    assert curves["arithmetic"][4][0] == pytest.approx(1 - 0.5**4)
    assert curves["aime25"] == {1: (0.2, 0.1, 0.22), 2: (0.4, 0.2, 0.44), 4: (0.8, 0.4, 0.88)}


def test_summary_says_start_and_end(tmp_path):
    lines = summary_table(write_run(tmp_path / "a", 1) / "metrics.jsonl").splitlines()
    cells = {name: values for name, *values in (re.split(r"\s*\|\s*", line)[1:-1] for line in lines[2:])}
    assert cells["validation arithmetic/pass@1"] == ["30.0 %", "50.0 %"]
    assert cells["validation arithmetic/maj@4"] == ["30.0 %", "50.0 %"]
    assert cells["training pass rate"] == ["33.0 %", "48.0 %"]  # means of steps 1 to 5 and 16 to 20
    assert cells["time a step (s)"] == ["4", "4"]


def test_picture_of_one_run(tmp_path):
    plot_run(write_run(tmp_path / "a", 1) / "metrics.jsonl", tmp_path / "one.png")
    assert matplotlib.image.imread(tmp_path / "one.png").shape[0] > 300


def test_table_of_several_runs_is_printed(tmp_path, capsys):
    runs = [write_run(tmp_path / f"{name}_seed{seed}", seed, 0.4 + seed / 50) for name in "ab" for seed in (1, 2)]
    main([*map(str, runs), "--out", str(tmp_path / "out")])
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\| metric +\| +a \| +b \|", lines[0])
    passed = next(line for line in lines if line.startswith("| training pass rate"))
    assert passed.count("46.0 % → 61.0 % [60.0 %, 62.0 %]") == 2
    assert lines[-1] == str(tmp_path / "out/report.html")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("report")
    for method, start in (("grpo", 0.3), ("g2rl", 0.4)):
        for seed in (1, 2):
            write_run(tmp_path / f"{method}_seed{seed}", seed, start + seed / 50)
    write_evaluation(tmp_path / "final" / "aime25")
    runs = [str(path) for path in sorted(tmp_path.glob("*_seed*"))]
    main([*runs, f"<b>&={tmp_path / 'final'}", "--out", str(tmp_path / "out")])
    return tmp_path / "out"


def test_page_holds_everything_itself(report):
    page = (report / "report.html").read_text()
    assert re.findall(r'(?:src|href)="([^"]{0,20})', page) == ["data:image/png;base6"] * 2
    assert "http" not in re.sub(r"base64,[^\"]*", "", page) and "<script" not in page
    assert "&lt;b&gt;&amp;" in page and "<b>" not in page
    assert "arXiv:2512.15687" in page  # published numbers beside the evaluation
    assert "temperature differs from arXiv:2512.15687, 0.8" in page
    # Training pass rate of g2rl: seeds start at 0.42 and 0.44 and rise by a point a step.
    assert "46.0 % → 61.0 % [60.0 %, 62.0 %]" in page
    assert (report / "curves.png").exists() and (report / "pass_at_k.png").exists()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium in PATH (Debian: apt-get install chromium)")
def test_browser_without_network_shows_the_pictures(report, tmp_path):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += ["--window-size=1200,2400", f"--screenshot={tmp_path / 'shot.png'}", f"file://{report / 'report.html'}"]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    pixels = matplotlib.image.imread(tmp_path / "shot.png")[..., :3]
    assert pixels.shape == (2400, 1200, 3)
    for method in ("grpo", "g2rl"):  # lines of both methods are on the screen
        near = np.abs(pixels - np.array(to_rgb(METHOD_COLORS[method]))).max(axis=-1) < 0.02
        assert near.sum() > 200
