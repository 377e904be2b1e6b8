"""The tiny policy: a Qwen3 of 1-2M parameters that the project pre-trains itself, so that nothing is downloaded."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

from g2rl.models.pretrain import RECIPES, Recipe, pretrain
from g2rl.models.untrained import check
from g2rl.utils.files import atomic_folder

__all__ = ["Recipe", "tiny_policy"]

# One for each task. Raise a version with every change that gives other weights.
FOLDERS = {
    "arithmetic": "tiny-v1",
    "arithmetic_tool": "tiny-arithmetic_tool-v1",
    "programs": "tiny-programs-v1",
    "room": "tiny-room-v2",
}


def tiny_policy(cache: Path, task: str = "arithmetic", recipe: Recipe | None = None) -> Path:
    """The Hugging Face folder of a task's policy in `cache`, trained first (one to three minutes) if it is missing.

    A recipe, which names its own task, has a folder of its own where it is another than the task's (`RECIPES`). Safe
    against being killed and against a second process that builds the same folder.
    """
    recipe = recipe or RECIPES[task]
    usual = asdict(RECIPES[recipe.task])
    changed = [f"-{name}={value}" for name, value in asdict(recipe).items() if value != usual[name]]
    folder = cache / f"{FOLDERS[recipe.task]}{''.join(changed)}"
    if folder.is_dir():
        return folder
    model, fast_tokenizer = pretrain(recipe)
    outcome = check(model, fast_tokenizer, recipe.task)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"tiny policy for {recipe.task}: {parameters / 1e6:.2f}M parameters, on validation problems at temperature 1 "
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
