"""The tiny policy: a Qwen3 of 1-2M parameters that the project pre-trains itself, so that nothing is downloaded."""

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from g2rl.data import arithmetic
from g2rl.files import atomic_folder
from g2rl.tiny import muon, pretrain, tokenizer
from g2rl.tiny.pretrain import Recipe

__all__ = ["Recipe", "recipe_hash", "tiny_policy"]


def recipe_hash(recipe: Recipe) -> str:
    """Twelve hexadecimal digits over the recipe and the source files that carry it out."""
    digest = hashlib.sha256(json.dumps(asdict(recipe), sort_keys=True).encode())
    for module in (arithmetic, muon, pretrain, tokenizer):
        assert module.__file__ is not None
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()[:12]


def tiny_policy(cache: Path, recipe: Recipe | None = None) -> Path:
    """The Hugging Face folder `cache/tiny-<hash of the recipe>`, trained first (one to two minutes) if it is missing.

    Safe against being killed and against a second process that builds the same folder.
    """
    recipe = recipe or Recipe()
    folder = cache / f"tiny-{recipe_hash(recipe)}"
    if folder.is_dir():
        return folder
    model, fast_tokenizer = pretrain.pretrain(recipe)
    outcome = pretrain.check(model, fast_tokenizer)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"tiny policy: {parameters / 1e6:.2f}M parameters, on validation problems at temperature 1 "
        f"pass@1 {outcome.pass_at_1:.1%}, pass@{outcome.samples} {outcome.pass_at_n:.1%}, "
        f"response {outcome.mean_tokens:.0f} tokens on average, {outcome.max_tokens} at most",
        file=sys.stderr,
    )
    with atomic_folder(folder) as building:
        model.save_pretrained(building)
        fast_tokenizer.save_pretrained(building)
        facts = {"recipe": asdict(recipe), "parameters": parameters, **asdict(outcome)}
        (building / "tiny.json").write_text(json.dumps(facts, indent=2) + "\n")
    return folder
