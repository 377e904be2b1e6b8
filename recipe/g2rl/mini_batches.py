"""Which rows of a step make a mini-batch: those of the same prompts, divided evenly among the devices.

verl 0.9.1 gives the rows in the order in which they were finished, short responses first. A mini-batch of one prompt's
worth of rows would then be responses of about the same length to any prompts. Its V1 trainer takes the argument
`keep_minibatch` and does not read it; once it does, this file is not needed. verl's `actor.shuffle` would mix the rows
again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions


def rows_of_devices(
    keys: Sequence[str],
    tags: Sequence[Mapping[str, Any]],
    problems: Sequence[Any],
    rows_of_mini_batch: int,
    devices: int,
) -> list[list[int]]:
    """For each device its rows, mini-batch after mini-batch.

    Args:
        keys: of the rows in TransferQueue, `<prompt's random id>_...`; as many as a multiple of `rows_of_mini_batch`.
        tags: with `seq_len`, and `is_padding` for the rows that fill up the last mini-batch.
        problems: each row's index in the data, which makes the mini-batches of two runs with one seed the same.
        rows_of_mini_batch: over all devices; a multiple of their number.
    """
    prompts = [key.partition("_")[0] for key in keys]
    responses = Counter(prompts)

    def sort_key(row: int) -> tuple:
        # Prompts with fewer responses come last: earlier, they would shift the mini-batches of all that follow.
        return tags[row].get("is_padding", False), -responses[prompts[row]], str(problems[row]), keys[row]

    rows = sorted(range(len(keys)), key=sort_key)
    of_device: list[list[int]] = [[] for _ in range(devices)]
    load = [0] * devices
    for start in range(0, len(rows), rows_of_mini_batch):
        mini_batch = rows[start : start + rows_of_mini_batch]
        work = calculate_workload(torch.tensor([tags[row]["seq_len"] for row in mini_batch])).tolist()
        shares = get_seqlen_balanced_partitions(work, k_partitions=devices, equal_size=True)
        shares.sort(key=lambda share: sum(work[i] for i in share), reverse=True)
        # The device with the least work so far takes the largest share, since the passes without gradients run over
        # all mini-batches at once.
        for share, device in zip(shares, sorted(range(devices), key=load.__getitem__), strict=True):
            of_device[device] += [mini_batch[i] for i in share]
            load[device] += sum(work[i] for i in share)
    return of_device
