"""The training sets and benchmarks: where each comes from, how many problems it has, how its rows are read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from g2rl.data.own_columns import recognise
from g2rl.data.reading import Row, read_file, read_hub
from g2rl.data.records import Record, to_record, with_num_choices
from g2rl.verify.boxes import last_boxed
from g2rl.verify.data_sources import DEFAULT_VERIFIERS


@dataclass(frozen=True)
class ProblemSet:
    """One entry of the table. A local file may have the hub's columns, or `problem` and `answer`."""

    data_source: str  # names the verifier that judges it
    repository: str  # on the Hugging Face hub
    revision: str
    splits: Mapping[str, tuple[str, int]]  # what it is for (train or test) -> split on the hub, number of problems
    config: str | None = None
    convert: Callable[[Row], Row] = dict  # a row of the hub -> problem, answer and perhaps choices, subject, level, id
    repeated: bool = False  # the hub's file holds every problem many times: the first of each id is kept
    shuffle_choices: bool = False  # the source lists the right option first


def _math(row: Row) -> Row:
    # A few solutions of MATH write \fbox{2} or \boxed 2 for \boxed{2}.
    solution = re.sub(r"\\boxed\s+([^\s{$.]+)", r"\\boxed{\1}", row["solution"].replace("\\fbox{", "\\boxed{"))
    return {"problem": row["problem"], "answer": last_boxed(solution), "subject": row["type"], "level": row["level"]}


def _gsm8k(row: Row) -> Row:
    _, _, answer = row["answer"].rpartition("####")
    return {"problem": row["question"], "answer": answer.strip().replace(",", "")}


DAPO_BEFORE = re.compile(r"\ASolve the following math problem step by step\.[^\n]*\n\n")
DAPO_AFTER = re.compile(r'\n\nRemember to put your answer on its own line after "Answer:"\.\s*\Z')


def _dapo(row: Row) -> Row:
    # Its own instructions ask for another answer format than the box.
    problem = DAPO_AFTER.sub("", DAPO_BEFORE.sub("", row["prompt"][0]["content"]))
    return {"problem": problem, "answer": row["reward_model"]["ground_truth"], "id": row["extra_info"]["index"]}


def _gpqa(row: Row) -> Row:
    options = [row["Correct Answer"], *(row[f"Incorrect Answer {number}"] for number in (1, 2, 3))]
    return {
        "problem": row["Question"],
        "answer": "A",
        "choices": [option.strip() for option in options],
        "subject": row["High-level domain"],
        "id": row["Record ID"],
    }


def _mmlu_pro(row: Row) -> Row:
    return {
        "problem": row["question"],
        "answer": row["answer"],
        "choices": row["options"],
        "subject": row["category"],
        "id": row["question_id"],
    }


# Revisions: the repositories' heads as others have pinned them in public code; counts: as published.
SETS: Mapping[str, ProblemSet] = MappingProxyType(
    {
        "math": ProblemSet(
            "math",
            "DigitalLearningGmbH/MATH-lighteval",
            "0530c78699ea5e8eb5530600900e1f328b48acad",
            {"train": ("train", 7500)},
            convert=_math,
        ),
        # MATH without the 500 problems of MATH500.
        "math_12k": ProblemSet(
            "math",
            "nlile/hendrycks-MATH-benchmark",
            "b2d17b56c4299a255acb1d4bc14ce920eb15f4fc",
            {"train": ("train", 12000)},
        ),
        "dapo_math_17k": ProblemSet(
            "dapo_math_17k",
            "BytedTsinghua-SIA/DAPO-Math-17k",
            "65877096c24ffa7abc4e4fa5edb95cf3413a5674",
            {"train": ("train", 17917)},
            convert=_dapo,
            repeated=True,
        ),
        "gsm8k": ProblemSet(
            "gsm8k",
            "openai/gsm8k",
            "740312add88f781978c0658806c59bc2815b9866",
            {"train": ("train", 7473), "test": ("test", 1319)},
            config="main",
            convert=_gsm8k,
        ),
        "math500": ProblemSet(
            "math500",
            "HuggingFaceH4/MATH-500",
            "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
            {"test": ("test", 500)},
        ),
        "amc": ProblemSet(
            "amc",
            "AI-MO/aimo-validation-amc",
            "69d78a4a2c840e82d69af6bc742bda09005f6316",
            {"test": ("train", 83)},
        ),
        "aime24": ProblemSet(
            "aime24",
            "HuggingFaceH4/aime_2024",
            "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
            {"test": ("train", 30)},
        ),
        "aime25": ProblemSet(
            "aime25",
            "math-ai/aime25",
            "563bb8404243c5f09de6ec262f2db674fe5bce9b",
            {"test": ("test", 30)},
        ),
        "gpqa_diamond": ProblemSet(
            "gpqa_diamond",
            "Idavidrein/gpqa",
            "633f5ee89ab8ad4522a9f850766b73f62147ffdd",
            {"test": ("train", 198)},
            config="gpqa_diamond",
            convert=_gpqa,
            shuffle_choices=True,
        ),
        "mmlu_pro": ProblemSet(
            "mmlu_pro",
            "TIGER-Lab/MMLU-Pro",
            "b189ec765aa7ed75c8acfea42df31fdae71f97be",
            {"test": ("test", 12032)},
            convert=_mmlu_pro,
        ),
    }
)


def read_set(
    name: str, source: Path | None, seed: int, columns: Mapping[str, str] | None = None
) -> dict[str, list[Record]]:
    """The problems of a set of the table, by what they are for: train or test.

    A local file holds one split; which one shows in the number of its problems. It has the hub's columns, or those of
    a user's own file (`columns`).

    Raises:
        ValueError: a row or the number of problems is not as it should be, or the source cannot be read.
    """
    chosen = SETS[name]
    if source is not None:
        records = _convert(chosen, read_file(source), str(source), seed, columns)
        for split, (_, count) in chosen.splits.items():
            if len(records) == count:
                return {split: records}
        counts = " or ".join(f"{count} ({split})" for split, (_, count) in chosen.splits.items())
        raise ValueError(
            f"{source} has {len(records)} problems, {name} has {counts}; for a set of your own use `jsonl --source`."
        )
    found = {}
    for split, (hub_split, count) in chosen.splits.items():
        rows = read_hub(chosen.repository, chosen.revision, chosen.config, hub_split)
        found[split] = _convert(chosen, rows, f"{chosen.repository} ({hub_split})", seed)
        if len(found[split]) != count:
            raise ValueError(f"{chosen.repository} ({hub_split}) has {len(found[split])} problems, not {count}.")
    return found


def _with_answers(chosen: ProblemSet, rows: list[Row], where: str, columns: Mapping[str, str] | None) -> list[Row]:
    """The rows with `problem` and `answer`: from the hub's columns, else from those of a user's own file."""
    if columns is None:
        try:
            found = [row if {"problem", "answer"} <= row.keys() else chosen.convert(row) for row in rows]
            if all({"problem", "answer"} <= row.keys() for row in found):
                return found
        except (KeyError, IndexError, TypeError, AttributeError):
            pass
    return recognise(rows, where, columns)


def _convert(
    chosen: ProblemSet, rows: list[Row], where: str, seed: int, columns: Mapping[str, str] | None = None
) -> list[Record]:
    records, seen = [], set()
    for number, row in enumerate(_with_answers(chosen, rows, where, columns)):
        place = f"{where}, row {number}"
        if chosen.repeated and "id" in row:
            if row["id"] in seen:
                continue
            seen.add(row["id"])
        record = to_record(row, place, f"{seed}-{number}" if chosen.shuffle_choices else None)
        if DEFAULT_VERIFIERS[chosen.data_source] == "choice" and "num_choices" not in record.extra:
            record = with_num_choices(record, place)
        records.append(record)
    return records
