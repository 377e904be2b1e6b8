"""The tiny policy: a Qwen3 of 1-2M parameters that the project pre-trains itself, so that nothing is downloaded."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from g2rl.models import pretrain
from g2rl.models.pretrain import Recipe
from g2rl.utils.files import atomic_folder

__all__ = ["Recipe", "tiny_policy"]

VERSION = 1  # raise it with every change that gives other weights


def tiny_policy(cache: Path, recipe: Recipe | None = None) -> Path:
    """The Hugging Face folder `cache/tiny-v<VERSION>`, trained first (one to two minutes) if it is missing.

    Another recipe than the default has a folder of its own. Safe against being killed and against a second process
    that builds the same folder.
    """
    recipe = recipe or Recipe()
    changed = [f"-{name}={value}" for name, value in asdict(recipe).items() if value != getattr(Recipe, name)]
    folder = cache / f"tiny-v{VERSION}{''.join(changed)}"
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
