import pytest

from g2rl.data import programs
from g2rl.data.generated import distinct_problems
from g2rl.lab.tasks import TASKS, derivation, equations, program


def test_derivations():
    assert derivation("First 3+4=7. Then 7*2=14. So the answer is \\boxed{14}.", "14") == "3+4=7 7*2=14"
    assert derivation("3+4=7\n7*2=14\nAnswer: \\boxed{14}", "14") == "3+4=7 7*2=14"
    assert derivation("It is \\boxed{14}.", "14") is None
    assert derivation("3+4=8, 8+6=14. \\boxed{14}", "14") is None  # a lucky error
    assert derivation("7*2=14, 3+4=7. \\boxed{14}", "14") is None
    assert equations("3+4=8, then 8-6=2") == "3+4=8 8-6=2"


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_strategy_is_a_derivation_of_its_own(split):
    for problem in distinct_problems("arithmetic", split, 200, seed=0):
        ways = {derivation(", ".join(steps), str(problem.answer)) for steps in problem.strategies.values()}
        assert None not in ways
        # Equal numbers make two strategies the same equations.
        assert len(ways) == len({tuple(steps) for steps in problem.strategies.values()})


def test_the_right_way_of_room_is_a_derivation_and_the_other_none():
    for problem in distinct_problems("room", "val", 100, seed=0):
        ways = [problem.rare, problem.usual] if problem.kind == "product first" else [problem.usual, problem.rare]
        assert [derivation(", ".join(way), problem.gold) for way in ways] == [None, " ".join(ways[1])]


def test_programs_are_run_and_told_apart_by_their_syntax():
    """As one expression and line by line both are right; without the parentheses that it needs one is wrong."""
    for problem in distinct_problems("programs", "val", 20, seed=0):
        bodies = [programs.one_expression(problem), programs.line_by_line(problem)]
        bodies.append(programs.one_expression(problem, flat=True))
        responses = [programs.in_a_block(body) for body in bodies]
        right = [verdict.correct for verdict in TASKS["programs"].judge(responses, [problem.gold] * 3)]
        assert right[:2] == [True, True] and (right[2] or bodies[2] != bodies[0])
        assert program(responses[0], "") != program(responses[1], "")
        spaced = responses[0].replace("return ", "return (").replace("\n```", " )\n```").replace("+", " + ")
        assert program(spaced, "") == program(responses[0], "")


@pytest.mark.parametrize("task", TASKS)
def test_problems_are_those_of_the_recipes_file(task, tmp_path):
    from g2rl.data.__main__ import collect, parse

    _, files = collect(parse([task, "--out", str(tmp_path)]))
    for split, (_, records) in files.items():
        ours = TASKS[task].problems(split, len(records))
        assert [(p.question, p.answer) for p in ours] == [(r.question, r.answer) for r in records]
