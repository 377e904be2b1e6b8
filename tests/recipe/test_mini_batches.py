"""A mini-batch is whole prompts, and every device gets an equal part of each."""

import random

import pytest

from recipe.g2rl.mini_batches import rows_of_devices


def step(responses: list[int], padding: int = 0, seed: int = 0) -> dict[str, list]:
    """Rows in the order in which they might be finished; `responses` for each prompt."""
    rng = random.Random(seed)
    rows = []
    for problem, count in enumerate(responses):
        uid = f"{rng.getrandbits(128):032x}"
        rows += [(f"{uid}_{r}_0", {"seq_len": rng.randint(2, 9999)}, problem) for r in range(count)]
    rng.shuffle(rows)
    rows += [(f"pad_{i}_0", {"seq_len": 2, "is_padding": True}, rows[0][2]) for i in range(padding)]
    keys, tags, problems = map(list, zip(*rows, strict=True))
    return {"keys": keys, "tags": tags, "problems": problems}


def mini_batches(given: dict[str, list], size: int, devices: int) -> list[list[list[int]]]:
    """Of each mini-batch the rows of each device, as verl cuts them."""
    of_device = rows_of_devices(**given, rows_of_mini_batch=size, devices=devices)
    part = size // devices
    return [[rows[start : start + part] for rows in of_device] for start in range(0, len(of_device[0]), part)]


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
@pytest.mark.parametrize("prompts_of_mini_batch", [1, 2, 6])
def test_a_mini_batch_is_whole_prompts(devices, prompts_of_mini_batch):
    given = step([8] * 6, seed=devices)
    found = mini_batches(given, 8 * prompts_of_mini_batch, devices)
    assert sorted(row for mini_batch in found for part in mini_batch for row in part) == list(range(48))
    seen: list[int] = []
    for mini_batch in found:
        assert {len(part) for part in mini_batch} == {8 * prompts_of_mini_batch // devices}
        seen += sorted({given["problems"][row] for part in mini_batch for row in part})
    assert seen == list(range(6))


@pytest.mark.parametrize("devices", [2, 8])
def test_devices_get_about_equal_work(devices):
    given = step([16] * 16)
    of_device = rows_of_devices(**given, rows_of_mini_batch=16, devices=devices)
    loads = [sum(given["tags"][row]["seq_len"] for row in rows) for rows in of_device]
    assert max(loads) < 1.1 * sum(loads) / devices


def test_random_names_do_not_matter():
    first, second = (step([8] * 6, seed=seed) for seed in (1, 2))
    for given in (first, second):  # the same lengths, under other names and in another order
        for tag, key, problem in zip(given["tags"], given["keys"], given["problems"], strict=True):
            tag["seq_len"] = 10 * problem + int(key.split("_")[1])
    lengths = [
        [[[given["tags"][row]["seq_len"] for row in part] for part in found] for found in mini_batches(given, 8, 2)]
        for given in (first, second)
    ]
    assert lengths[0] == lengths[1]


def test_a_prompt_with_responses_missing_does_not_shift_the_others():
    given = step([4, 3, 4, 4], padding=1)
    found = [[row for part in mini_batch for row in part] for mini_batch in mini_batches(given, 4, 2)]
    assert [{given["problems"][row] for row in rows} for rows in found[:-1]] == [{0}, {2}, {3}]
    assert sum(given["keys"][row].startswith("pad") for row in found[-1]) == 1
