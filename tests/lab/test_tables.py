"""The study's numbers from its files, against plain second ways to them."""

import gzip
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.polynomial.legendre import leggauss

from g2rl.lab import room_tables
from g2rl.lab.compose import compose_lab
from g2rl.lab.measures import Run, at_accuracy, crossings, measures, read_run
from g2rl.lab.see import SIMILARITIES, probability
from g2rl.lab.statistics import bootstrap, holm, p_value, paired, share_of_oracle, t_quantile
from g2rl.lab.study import FOLDER, ORDER, SETTINGS, missing, packed, run_file
from g2rl.lab.tables import write_all
from g2rl.lab.tasks import TASKS
from g2rl.lab.update import check_actor
from g2rl.lab.verl_runs import outcomes
from g2rl.methods.build import build_method


def run_of(points, seed=11):
    return Run("x", seed, {step: {"pass@1": p, "derivations of sums": d} for step, p, d in points}, {})


def test_equal_accuracy():
    run = run_of([(0, 0.3, 3.0), (10, 0.7, 2.0), (20, 0.8, 1.0), (30, 0.74, 5.0), (40, 0.9, 4.0)])
    assert at_accuracy(run, 0.75) == pytest.approx(1.5)  # the first crossing alone counts
    assert crossings(run, 0.75) == pytest.approx([1.5, 1 + 5 / 6 * 4, 5 - 1 / 16])
    assert at_accuracy(run, 0.85) == pytest.approx(5 + 11 / 16 * -1)
    assert at_accuracy(run, 0.95) is None
    assert at_accuracy(run, 0.2) is None  # it was there before training


def test_measures_of_outcomes():
    outcomes = {0: [["3+4=7", "3+4=7", None, ""] * 8, [None] * 32, ["1+1=2", "1*2=2", "1+1=2", None] * 8]}
    record = packed(outcomes)
    found = measures(record["outcomes"][0], ["sum", "sum", "products"])
    assert found["pass@1"] == pytest.approx(48 / 96)
    assert found["pass@32"] == pytest.approx(2 / 3)
    assert found["derivations of sums"] == pytest.approx(1 / 2)  # one way, and a problem without any
    assert found["derivations of others"] == 2
    assert found["derivations"] == pytest.approx(1)
    assert [record["derivations"][place] for place in record["outcomes"][0][2][:2]] == ["1+1=2", "1*2=2"]


def test_paired_interval_covers_the_truth():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        shared = rng.normal(size=10) * 5  # what a seed does to both settings
        ours, theirs = shared + 0.3 + rng.normal(size=10), shared + rng.normal(size=10)
        mean, half, count = paired(dict(enumerate(ours)), dict(enumerate(theirs)))
        covered.append(abs(mean - 0.3) <= half)
    assert count == 10
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
    assert paired({1: 2.0, 2: 5.0}, {2: 1.0, 3: 4.0})[::2] == (4.0, 1)


def test_quantiles_of_students_t():
    """The density between −q and q is 0.95, by quadrature."""
    nodes, weights = leggauss(200)
    for df in range(1, 40):
        quantile = t_quantile(df)
        x = quantile * nodes
        constant = math.gamma((df + 1) / 2) / math.gamma(df / 2) / math.sqrt(df * math.pi)
        area = quantile * (weights * constant * (1 + x**2 / df) ** (-(df + 1) / 2)).sum()
        assert area == pytest.approx(0.95, abs=1e-9)


def test_p_values():
    """By quadrature of the density beyond t; at the quantile of the interval p is 0.05."""
    rng = np.random.default_rng(0)
    ours, theirs = ({seed: rng.normal(mean) for seed in range(8)} for mean in (1.0, 0.0))
    differences = np.array([ours[seed] - theirs[seed] for seed in range(8)])
    t, df = differences.mean() / (differences.std(ddof=1) / math.sqrt(8)), 7
    nodes, weights = leggauss(400)
    constant = math.gamma((df + 1) / 2) / math.gamma(df / 2) / math.sqrt(df * math.pi)
    inside = abs(t) * (weights * constant * (1 + (t * nodes) ** 2 / df) ** (-(df + 1) / 2)).sum()
    assert p_value(ours, theirs) == pytest.approx(1 - inside, abs=1e-9)
    low, high = bootstrap(ours, theirs)
    means = [np.random.default_rng(seed).choice(differences, 8).mean() for seed in range(4000)]
    assert (low, high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.05)
    assert holm([0.03, 0.01, 0.04, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm([]) == []


def test_share_of_the_oracle():
    seeds = range(11, 21)
    placebo = {seed: 1.0 + 0.1 * (seed % 3) for seed in seeds}
    oracle = {seed: value + 1.0 for seed, value in placebo.items()}
    score = {seed: value + 0.4 for seed, value in placebo.items()}
    assert share_of_oracle(score, placebo, oracle) == pytest.approx((0.4, 0.4, 0.4))
    assert share_of_oracle(score, placebo, placebo) is None  # no scale
    assert share_of_oracle({11: 1.0}, placebo, oracle) is None  # too few


def test_probability_that_the_same_way_is_more_similar():
    torch.manual_seed(0)
    vectors = torch.randn(9, 4)
    ways, texts = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2]), torch.tensor([0, 1, 1, 2, 3, 4, 4, 5, 6])
    similarity = SIMILARITIES["signed"](vectors)
    pairs = [(i, j) for i in range(9) for j in range(i)]
    alike = [similarity[i, j] for i, j in pairs if ways[i] == ways[j] and texts[i] != texts[j]]
    other = [similarity[i, j] for i, j in pairs if ways[i] != ways[j]]
    expected = np.mean([float(a > b) for a in alike for b in other])
    assert probability(similarity, ways, texts) == pytest.approx(expected)
    assert probability(torch.ones(9, 9), ways, texts) == 0.5
    assert probability(similarity, torch.arange(9), texts) is None


def test_order_of_the_study(tmp_path):
    names = [name for line, _ in ORDER for name in line]
    assert set(names) == set(SETTINGS)
    todo = list(missing(tmp_path))
    assert todo[:4] == [("grpo", 11), ("g2rl", 11), ("g2rl-placebo", 11), ("grpo", 12)]
    assert len(set(todo)) == len(todo) == (13 + 2) * 10 + (4 + 1) * 20 + (2 + 3 + 1) * 5 + (6 + 3 + 3 + 2 + 2 + 3) * 3
    done = run_file(tmp_path, "g2rl", 11)
    done.parent.mkdir()
    done.touch()
    assert list(missing(tmp_path)) == [one for one in todo if one != ("g2rl", 11)]


def test_every_setting_of_the_study_is_one_of_the_laboratory():
    for name, overrides in SETTINGS.items():
        config, task = compose_lab(overrides)
        build_method(config.exploration)
        check_actor(config.actor_rollout_ref.actor)
        assert task == ("room" if name.startswith("room-") else "arithmetic")


def test_room():
    """Four problems x 128 samples, two of them longer."""
    kinds, start = ["sum", "sum", "longer", "longer"], np.array([0, 1, 2, 0])
    runs = [
        room_tables.RoomRun("room-grpo", seed, 128, kinds, {0: start, 150: np.array([128, 0, 64, seed % 2])})
        for seed in range(11, 17)
    ]
    # C(127, 64) / C(128, 64) = 1/2 of the subsets miss one right sample, 63/254 miss two.
    assert runs[0].measures(0) == pytest.approx(
        {"pass@1": 3 / 512, "pass@64": (1 / 2 + 191 / 254) / 4, "pass@64 of longer problems": 191 / 508}
    )
    line = room_tables.table(runs).splitlines()[-1]
    gains = [100 * (2 + (seed % 2) / 2 - 1 / 2 - 191 / 254) / 4 for seed in range(11, 17)]
    half = 2.570582 * np.std(gains, ddof=1) / math.sqrt(6)
    assert f"+{np.mean(gains):.2f} ± {half:.2f} (6 seeds)" in line
    assert "| grpo" in line and " 1.5 |" in line and " 1.0 |" in line  # gained and lost
    better = [replace(run, setting="room-g2rl", right=run.right | {150: run.right[0]}) for run in runs]
    line = room_tables.table_of_differences(runs + better).splitlines()[-1]
    assert line.startswith("| g2rl − grpo") and f"{-np.mean(gains):+.2f} ± {half:.2f} (6 seeds)" in line


def write_run(folder, name, seed, ways_of_step, kind="arithmetic"):
    """Two problems x 32 samples; the share of right answers grows with the step."""
    outcomes = {}
    for step, (right, ways) in ways_of_step.items():
        rows = [[f"1+1={i % ways}" if i < right else None for i in range(32)] for _ in range(2)]
        outcomes[step] = rows
    record = {"setting": name, "seed": seed, "kinds": ["sum", "products"], "metrics": {"actor/entropy": [[1, 0.2]]}}
    path = run_file(folder, name, seed, kind)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(json.dumps(record | packed(outcomes)).encode()))


def test_outcomes_of_verls_samples(tmp_path):
    validation = TASKS["arithmetic"].problems("val", 2)
    answers = [problem.answer for problem in validation]
    lines = [
        {"input": f"user\n{validation[i].question}\nassistant\n", "gts": answers[i], "output": output, "acc": acc}
        for i, output, acc in (
            (1, f"0+{answers[1]}={answers[1]}", 1.0),
            (0, "a guess", 1.0),
            (1, f"0+{answers[1]}={answers[1]}", 0.0),  # it was cut off
        )
    ]
    file = tmp_path / "30.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert outcomes(file, validation) == [[""], [f"0+{answers[1]}={answers[1]}", None]]
    file.write_text(json.dumps(lines[0] | {"input": "another problem"}))
    with pytest.raises(ValueError, match="holds 0 of the validation's questions"):
        outcomes(file, validation)


def test_tables_and_picture(tmp_path):
    for seed in range(11, 17):
        write_run(tmp_path, "g2rl", seed, {0: (8, 4), 10: (28, 4), 20: (30, 4)})
        write_run(tmp_path, "g2rl-placebo", seed, {0: (8, 4), 10: (28, 2 + seed % 2), 20: (30, 2)})
        write_run(tmp_path, "g2rl-oracle", seed, {0: (8, 4), 10: (28, 6), 20: (30, 6)})
    for seed in range(21, 41):  # of the confirmation alone
        write_run(tmp_path, "g2rl", seed, {0: (8, 4), 10: (28, 4), 20: (30, 4)})
        write_run(tmp_path, "g2rl-placebo", seed, {0: (8, 4), 10: (28, 3 + seed % 2), 20: (30, 2)})
    write_run(tmp_path, "g2rl", 1, {0: (8, 1), 10: (16, 1), 20: (16, 1)})  # for tuning: in the CSV alone
    for seed, right in ((11, 16), (12, 24)):
        write_run(tmp_path, "g2rl", seed, {10: (right, 3)}, "verl")
    write_all(tmp_path)
    text = (tmp_path / "tables.md").read_text()
    # At 75 %, 16 of 20 steps of the way from 25 % to 87.5 %; the placebo has 2.4 or 3.2 derivations there.
    assert "4.00 [4.00, 4.00], 6 of 6 runs" in text and "2.80 [2.40, 3.20], 6 of 6 runs" in text
    differences = [1.6, 0.8] * 3
    half = 2.570582 * np.std(differences, ddof=1) / math.sqrt(6)
    assert f"+1.20 ± {half:.2f} (6 seeds)" in text
    fresh = " ".join(text[text.index("The confirmation") : text.index("The laboratory and verl")].split())
    # The placebo has 3.2 or 4 there.
    half = 2.093024 * 0.4 * math.sqrt(20 / 19) / math.sqrt(20)
    assert f"| (a) | g2rl − g2rl-placebo at 75% | +0.40 ± {half:.2f} (20 seeds) |" in fresh
    assert fresh.count("| (a) |") == 1 and "20 of 20 runs" in fresh
    assert text.count("interval contains zero") == 3  # pass@1 at the end, the same in all settings
    assert (
        "| g2rl, 10 | 6, 2 | 87.5 [87.5, 87.5] | 62.5 [50.0, 75.0] | 4.00 [4.00, 4.00] | 3.00 [3.00, 3.00] |"
        in " ".join(text.split())
    )
    rows = (tmp_path / "evaluations.csv").read_text().splitlines()
    assert len(rows) == 1 + 59 * 3 and "g2rl,1,20,0.5,1,1,1,1" in rows
    assert (tmp_path / "derivations.png").stat().st_size > 10_000


def test_committed_tables_are_those_of_the_committed_runs(tmp_path):
    if not (FOLDER / "tables.md").exists():
        pytest.skip("no run of the study is there yet")
    (tmp_path / "runs").symlink_to(FOLDER / "runs")
    write_all(tmp_path)
    for name in ("evaluations.csv", "tables.md"):
        assert (tmp_path / name).read_text() == (FOLDER / name).read_text()
    for path in sorted((FOLDER / "runs").glob("arithmetic-*.json.gz")):
        run = read_run(path)
        assert max(run.evaluations) == 150 and len(run.evaluations) == 16
