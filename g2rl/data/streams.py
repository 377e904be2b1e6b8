"""What the generated tasks share: problems in an endless seeded stream, split by a hash of their text.

Training and validation problems cannot meet, whatever the seeds: the split depends on the text alone.
"""

import random
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

VALIDATION_SHARE = 10  # one text in ten is for validation
SPLITS = ("train", "val")
GIVE_UP_AFTER = 300_000  # repetitions; the rarest text of a task comes once in about 20,000


class HasQuestion(Protocol):
    @property
    def question(self) -> str: ...


P = TypeVar("P", bound=HasQuestion)


def split_of(text: str) -> str:
    return "val" if zlib.crc32(text.encode()) % VALIDATION_SHARE == 0 else "train"


def of_split(draw: Callable[[random.Random], P], text_of: Callable[[P], str], split: str, seed: str) -> Iterator[P]:
    """An endless stream of the drawn problems whose text belongs to the split; a text may come again."""
    assert split in SPLITS
    rng = random.Random(seed)
    while True:
        problem = draw(rng)
        if split_of(text_of(problem)) == split:
            yield problem


def first_distinct(stream: Iterable[P], count: int, task: str, split: str) -> list[P]:
    """The first `count` problems of the stream with different questions.

    Raises:
        ValueError: there are not as many.
    """
    if count < 1:
        raise ValueError(f"{task}: {count} problems of split {split} are asked for; ask for at least 1.")
    found: dict[str, P] = {}
    without_a_new_one = 0
    for problem in stream:
        if len(found) == count or without_a_new_one == GIVE_UP_AFTER:
            break
        without_a_new_one = without_a_new_one + 1 if problem.question in found else 0
        found.setdefault(problem.question, problem)
    if len(found) < count:
        raise ValueError(f"{task}: {count} problems of split {split} are asked for; there are {len(found)}.")
    return list(found.values())
