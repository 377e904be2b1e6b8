"""Which rows of a step make a mini-batch: those of the same prompts, divided evenly among the devices.

verl hands out the rows in the order in which they were finished, short responses first, so that a "mini-batch of one
prompt" would be sixteen responses of about the same length to any prompts. Not needed once verl's V1 trainer keeps
mini-batches together when it balances (`keep_minibatch`, which it takes and does not read).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from verl.utils.seqlen_balancing import calculate_workload, get_seqlen_balanced_partitions


def mini_batch_order(
    keys: Sequence[str], tags: Sequence[Mapping[str, Any]], rows_of_mini_batch: int, devices: int
) -> list[int]:
    """The order of a step's rows in which verl, cutting it into one piece a device, gives each its mini-batches.

    Args:
        keys: TransferQueue's, which begin with the prompt's id. Their number is a multiple of `rows_of_mini_batch`.
        tags: with `seq_len`, and `is_padding` for the rows that fill up the last mini-batch.
        rows_of_mini_batch: over all devices, whose number divides it.
    """
    rows = sorted(range(len(keys)), key=lambda row: (tags[row].get("is_padding", False), keys[row]))
    of_device: list[list[int]] = [[] for _ in range(devices)]
    for start in range(0, len(rows), rows_of_mini_batch):
        mini_batch = rows[start : start + rows_of_mini_batch]
        work = calculate_workload(torch.tensor([tags[row]["seq_len"] for row in mini_batch]))
        shares = get_seqlen_balanced_partitions(work.tolist(), k_partitions=devices, equal_size=True)
        for device, share in enumerate(shares):
            of_device[device] += [mini_batch[i] for i in share]
    return [row for rows_of_device in of_device for row in rows_of_device]
