"""The laboratory's own sampling and passes against the model's plain forward pass, one sequence at a time."""

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from g2rl.features import gradient_features
from g2rl.lab.policy import hidden_states, prefill, prompt_log_probs, sample, select, token_log_probs

PROMPTS = [[5, 6, 7], [8], [9, 10, 11, 12, 3, 4]]
END = 2


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=20,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    model = Qwen3ForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # distributions with something to tell
    return model


def draw(model, number, max_tokens=12, temperature=0.8):
    prompts = torch.arange(len(PROMPTS)).repeat_interleave(number)
    with torch.no_grad():
        prefix = prefill(model, PROMPTS)
    return sample(
        model,
        prefix,
        prompts,
        max_tokens=max_tokens,
        temperature=temperature,
        end_ids=[END],
        generator=torch.Generator().manual_seed(1),
    )


def plain(model, prompt, response):
    """Hidden states that predict the response, from one forward pass over the unpadded sequence."""
    ids = torch.tensor([prompt + response])
    return model.model(ids, use_cache=False).last_hidden_state[0, len(prompt) - 1 : -1]


def test_hidden_states_of_sampling_and_of_a_pass_are_those_of_the_model(model):
    responses = draw(model, 30)
    tokens = [row.tolist() for row in responses.split(responses.tokens)]
    assert len({len(row) for row in tokens}) > 5  # of many lengths
    for row, finished in zip(tokens, responses.finished.tolist(), strict=True):
        assert END not in row[:-1] and finished == (row[-1] == END) and (finished or len(row) == 12)
    expected = torch.cat([plain(model, PROMPTS[i], row) for i, row in zip(responses.prompts, tokens, strict=True)])
    torch.testing.assert_close(responses.hidden, expected.detach(), rtol=1e-4, atol=1e-5)

    prefix = prefill(model, PROMPTS)
    passed = hidden_states(model, prefix, responses)
    torch.testing.assert_close(passed, expected, rtol=1e-4, atol=1e-5)
    weights = torch.randn(len(passed), generator=torch.Generator().manual_seed(2))
    gradients = []
    for hidden in (passed, expected):
        log_probs, entropy = token_log_probs(model, hidden, responses.tokens, 0.8)
        gradients.append(torch.autograd.grad((weights * log_probs + entropy).sum(), list(model.parameters())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_log_probs_and_entropy(model):
    responses = draw(model, 10)
    head = gradient_features(
        responses.hidden, model.lm_head.weight, responses.tokens, responses.rows, 30, temperature=0.8
    )
    log_probs, entropy = token_log_probs(model, responses.hidden, responses.tokens, 0.8)
    torch.testing.assert_close(log_probs, head.log_probs)
    torch.testing.assert_close(entropy, head.entropy)
    prefix = prefill(model, PROMPTS)
    for prompt, of_prompt in zip(PROMPTS, prompt_log_probs(model, prefix, PROMPTS, 0.8), strict=True):
        logits = model(torch.tensor([prompt])).logits[0, :-1] / 0.8
        expected = logits.log_softmax(-1)[torch.arange(len(prompt) - 1), torch.tensor(prompt[1:], dtype=torch.long)]
        torch.testing.assert_close(of_prompt, expected, rtol=1e-4, atol=1e-4)


def test_samples_follow_the_distribution(model):
    """Shares of the first token among 6,000 samples against the model's probabilities, within four standard errors."""
    responses = draw(model, 2000, max_tokens=1)
    for i, prompt in enumerate(PROMPTS):
        expected = (model(torch.tensor([prompt])).logits[0, -1] / 0.8).softmax(-1)
        shares = responses.tokens[responses.prompts == i].bincount(minlength=20) / 2000
        assert ((shares - expected).abs() < 4 * (expected * (1 - expected) / 2000).sqrt() + 1e-3).all()


def test_selected_responses(model):
    responses = draw(model, 4)
    rows = torch.tensor([7, 2, 11])
    part = select(responses, rows)
    for place, row in enumerate(rows.tolist()):
        assert torch.equal(part.split(part.tokens)[place], responses.split(responses.tokens)[row])
        assert torch.equal(part.split(part.hidden)[place], responses.split(responses.hidden)[row])
    assert torch.equal(part.prompts, responses.prompts[rows])
