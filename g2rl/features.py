"""The gradient feature of a response: what the exploration score compares (arXiv 2512.15687, eq. 5–8 and 14).

For a token y_t predicted from the hidden state h_t, the derivative of its log-probability with respect to h_t is
phi_t / T with phi_t = W[y_t] − Σ_v p_t(v) W[v]: the way this token would push the model. A response's feature is the
weighted mean of its token features, and it comes with the forward pass that computes the old log-probabilities.

Shape suffixes: T tokens, H hidden size, V vocabulary, S sequences.
"""

from typing import Any, NamedTuple

from torch import Tensor

from g2rl.ops import token_pass

EPS = 1e-8
TRANSFORMS = (
    "final_logit_softcapping",  # of Gemma
    "logits_scaling",  # Granite
    "logit_scale",  # Cohere
    "lm_head_multiplier",  # Falcon-H1
    "logits_soft_cap",  # RecurrentGemma
    "output_logit_soft_cap",  # xLSTM
)


class TokenPass(NamedTuple):
    log_probs: Tensor  # [T] float32
    entropy: Tensor  # [T] float32, nats
    features: Tensor  # [S, H] float32


def check_plain_logits(config: Any) -> None:
    """`config` is a transformers text configuration, as of `model.config.get_text_config()`.

    Raises:
        ValueError: the model does something to its logits after the LM head, of which the feature knows nothing.
    """
    for name in TRANSFORMS:
        if getattr(config, name, None) not in (None, 1, 1.0):
            raise ValueError(
                f"{config.model_type} transforms its logits after the LM head ({name}={getattr(config, name)}), which "
                f"the log-prob pass does not compute; use a model whose LM head's output is its logits."
            )


def gradient_features(
    hidden: Tensor,
    lm_head_weight: Tensor,
    token_ids: Tensor,
    sequence_ids: Tensor,
    num_sequences: int,
    *,
    token_weights: Tensor | None = None,
    bias: Tensor | None = None,
    temperature: float | Tensor = 1.0,
    chunk_size: int | None = None,
) -> TokenPass:
    """Log-probabilities, entropies and sequence features of packed tokens, without autograd.

    `features[s] = Σ_t a_t phi_t / (Σ_t a_t + 1e-8)` over the tokens t of sequence s, with
    `phi_t = W[y_t] − Σ_v p_t(v) W[v]` and `p_t = softmax((W h_t + b) / temperature)` over the whole vocabulary
    (arXiv 2512.15687, eq. 5–8 and 14). A sequence without weight has the feature 0.

    Args:
        hidden: [T, H], the LM head's inputs that predict `token_ids`; float32, bfloat16 or float16.
        lm_head_weight: [V, H], the LM head's weight, whole; float32, bfloat16 or float16.
        token_ids: [T] integer in [0, V).
        sequence_ids: [T] integer in [−1, num_sequences), ascending; −1 for padding behind the last sequence.
        num_sequences: S ≥ 1.
        token_weights: [T], a_t ≥ 0; default 1 for every token. Give 0 to prompt and padding.
        bias: [V], the LM head's bias. It changes p_t only.
        temperature: sampling temperature, a positive number or [T].
        chunk_size: tokens whose logits exist at the same time; by default 256 (CUDA: 1024).

    Returns:
        TokenPass(log_probs [T], entropy [T] in nats, features [S, H]), all float32.

    Raises:
        ValueError: shapes, types, devices or value ranges that do not fit the above.
    """
    sums = token_pass(
        hidden,
        lm_head_weight,
        token_ids,
        sequence_ids,
        num_sequences,
        token_weights=token_weights,
        bias=bias,
        temperature=temperature,
        chunk_size=chunk_size,
    )
    assert sums.feature_sums is not None and sums.weight_sums is not None
    return TokenPass(sums.log_probs, sums.entropy, mean_over_tokens(sums.feature_sums, sums.weight_sums))


def mean_over_tokens(sums: Tensor, weight_sums: Tensor) -> Tensor:
    """Weighted means [S, D] of sums over tokens [S, D]; 0 where the weights add up to 0.

    Args:
        weight_sums: [S], the sums Σ_t a_t of the weights.
    """
    return sums / (weight_sums + EPS)[:, None]
