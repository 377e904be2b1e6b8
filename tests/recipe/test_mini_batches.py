"""A mini-batch is whole prompts, and every device gets an equal part of each."""

import random

import pytest

from recipe.mini_batches import mini_batch_order


def step(prompts: int, responses: int, padding: int = 0, seed: int = 0) -> tuple[list[str], list[dict]]:
    """Keys and tags in the order in which responses might be finished."""
    rng = random.Random(seed)
    rows = [
        (f"{prompt:032x}_{r}_0", {"seq_len": rng.randint(2, 99)}) for prompt in range(prompts) for r in range(responses)
    ]
    rng.shuffle(rows)
    rows += [(f"pad_{i}_0", {"seq_len": 2, "is_padding": True}) for i in range(padding)]
    keys, tags = zip(*rows, strict=True)
    return list(keys), list(tags)


def mini_batches(order: list[int], keys: list[str], size: int, devices: int) -> list[list[list[str]]]:
    """Of each mini-batch the keys of each device, as verl cuts them."""
    per_device = len(order) // devices
    pieces = [[keys[row] for row in order[d * per_device : (d + 1) * per_device]] for d in range(devices)]
    part = size // devices
    return [[piece[start : start + part] for piece in pieces] for start in range(0, per_device, part)]


@pytest.mark.parametrize("devices", [1, 2, 4, 8])
@pytest.mark.parametrize("prompts_of_mini_batch", [1, 2, 6])
def test_a_mini_batch_is_whole_prompts(devices, prompts_of_mini_batch):
    keys, tags = step(prompts=6, responses=8, seed=devices)
    size = 8 * prompts_of_mini_batch
    order = mini_batch_order(keys, tags, size, devices)
    assert sorted(order) == list(range(48))
    seen: list[str] = []
    for mini_batch in mini_batches(order, keys, size, devices):
        assert {len(part) for part in mini_batch} == {size // devices}
        prompts = {key.partition("_")[0] for part in mini_batch for key in part}
        assert len(prompts) == prompts_of_mini_batch
        seen += prompts
    assert len(seen) == len(set(seen)) == 6


def test_devices_get_about_equal_work():
    keys, tags = step(prompts=1, responses=16)
    order = mini_batch_order(keys, tags, 16, 2)
    halves = [sum(tags[row]["seq_len"] for row in half) for half in (order[:8], order[8:])]
    assert abs(halves[0] - halves[1]) <= 2


def test_padding_comes_last():
    keys, tags = step(prompts=3, responses=4, padding=4)
    last = mini_batches(mini_batch_order(keys, tags, 8, 2), keys, 8, 2)[-1]
    assert sum(key.startswith("pad") for part in last for key in part) == 4
    assert len({key.partition("_")[0] for part in last for key in part}) == 2
