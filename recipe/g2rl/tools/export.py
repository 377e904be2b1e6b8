"""`python -m recipe.g2rl.tools.export CHECKPOINT --out DIR`: a checkpoint as a Hugging Face folder.

CHECKPOINT is the folder of a run's checkpoints (its newest), one `global_step_N`, or its `actor`. transformers and vLLM
load what is written; the weights are bfloat16, as verl's merger writes them. What LoRA trained is merged into them, or
with `--lora adapter` written as an adapter for PEFT and vLLM.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM

from g2rl.utils.files import atomic_folder
from recipe.g2rl.saving.checkpoint_files import NEWEST

LORA = "lora_train_meta.json"  # verl writes it beside the shards of a model with adapters
ADAPTER = "lora_adapter"  # where verl's merger puts the adapter, beside the weights that it belongs to


def actor_folder(checkpoint: Path) -> Path | None:
    """The folder of the shards; None for a folder that is no checkpoint of verl's.

    Raises:
        ValueError: it is one, but not of the FSDP trainers.
    """
    newest = checkpoint / NEWEST
    if newest.is_file():
        checkpoint = checkpoint / f"global_step_{newest.read_text().strip()}"
    if (checkpoint / "actor").is_dir():
        checkpoint = checkpoint / "actor"
    if (checkpoint / "fsdp_config.json").is_file():
        return checkpoint
    if checkpoint.name == "actor" or list(checkpoint.glob("model_world_size_*")):
        raise ValueError(
            f"{checkpoint} is no FSDP checkpoint of verl (no fsdp_config.json); merge it to a folder first."
        )
    return None


def own_weights(actor: Path) -> Path | None:
    """The Hugging Face folder that the run saved itself (`save_contents` with `hf_model`), if it has the weights."""
    folder = actor / "huggingface"
    return folder if not (actor / LORA).exists() and list(folder.glob("*.safetensors")) else None


def merge(actor: Path, out: Path, lora: str = "merge") -> None:
    """Write the shards in `actor` to the new folder `out`.

    Args:
        lora: "merge" adds the adapters to the weights, "adapter" writes them alone; without adapters no matter.

    Raises:
        ValueError: a file of the checkpoint is missing or damaged, it has no adapters to write, or the merger died.
    """
    has_adapters = (actor / LORA).exists()
    if lora == "adapter" and not has_adapters:
        raise ValueError(f"{actor} was not trained with LoRA (no {LORA}); leave --lora adapter out.")
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp", "--local_dir", str(actor)]
    with atomic_folder(out) as folder:
        merger = subprocess.run([*command, "--target_dir", str(folder)], capture_output=True, text=True)
        if merger.returncode < 0:
            raise ValueError(
                f"{actor} could not be merged: signal {-merger.returncode} ended the merger, as on a machine that runs "
                "out of memory."
            )
        if merger.returncode:
            reason = (merger.stderr.strip().splitlines() or ["it says nothing"])[-1]
            raise ValueError(f"{actor} could not be merged ({reason}); is a file of the checkpoint missing?")
        if has_adapters and lora == "merge":
            _merge_adapter(folder)
        elif has_adapters:
            _keep_adapter(folder, _trained_model(actor))


def _merge_adapter(folder: Path) -> None:
    # In float32: the product of two small matrices is not rounded before it is added.
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, str(folder / ADAPTER)).merge_and_unload()  # type: ignore[operator]
    merged.to(torch.bfloat16).save_pretrained(folder)
    shutil.rmtree(folder / ADAPTER)


def _keep_adapter(folder: Path, base: str | None) -> None:
    for weights in (*folder.glob("model*.safetensors*"), folder / "config.json"):
        weights.unlink()
    for file in (folder / ADAPTER).iterdir():
        file.rename(folder / file.name)
    (folder / ADAPTER).rmdir()
    settings = folder / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"base_model_name_or_path": base}, indent=2))


def _trained_model(actor: Path) -> str | None:
    """What the run named as its model, where the checkpoint still lies in the run's folder."""
    config = actor.absolute().parents[2] / "config.yaml"
    return yaml.safe_load(config.read_text())["actor_rollout_ref"]["model"]["path"] if config.is_file() else None


def export(checkpoint: Path, out: Path, lora: str = "merge") -> None:
    """Write `checkpoint` to the new folder `out`.

    Raises:
        ValueError: `checkpoint` does not exist, is none of verl's FSDP trainers or not whole, or `out` exists.
    """
    if out.exists():
        raise ValueError(f"--out {out} exists; name a new folder.")
    if not checkpoint.exists():
        raise ValueError(f"{checkpoint} does not exist.")
    actor = actor_folder(checkpoint)
    if actor is None:
        raise ValueError(f"{checkpoint} is no checkpoint of a run; name its folder global_step_N.")
    if weights := own_weights(actor):
        with atomic_folder(out) as folder:
            shutil.copytree(weights, folder, dirs_exist_ok=True)
    else:
        merge(actor, out, lora)


def main(argv: Sequence[str] | None = None) -> None:
    assert __doc__ is not None
    parser = argparse.ArgumentParser(prog="python -m recipe.g2rl.tools.export", description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lora", choices=["merge", "adapter"], default="merge")
    args = parser.parse_args(argv)
    try:
        export(args.checkpoint, args.out, args.lora)
    except ValueError as error:
        parser.exit(2, f"error: {error}\n")
    print(args.out)


if __name__ == "__main__":
    main()
