"""The tokenizer of a run, and whether its chat template takes the prompts of the data."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from transformers import PreTrainedTokenizerBase, ProcessorMixin
from verl.utils import hf_processor, hf_tokenizer

from g2rl.data.check import read_rows
from recipe.g2rl.settings.config import NotThere, data_files


def load_tokenizer(config: DictConfig, online: bool) -> tuple[PreTrainedTokenizerBase, ProcessorMixin | None]:
    """As verl loads them (`HFModelConfig`), without the model; with `online` false from the local cache alone.

    Raises:
        NotThere: there is no tokenizer.
    """
    model = config.actor_rollout_ref.model
    name = str(model.get("tokenizer_path") or model.path)
    folder = Path(name).expanduser()
    place = str(folder) if folder.is_dir() else name
    options = {"trust_remote_code": model.trust_remote_code, "local_files_only": not online}
    try:
        tokenizer, processor = hf_tokenizer(place, **options), hf_processor(place, **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise NotThere(f"actor_rollout_ref.model.path={name} has no tokenizer that can be loaded: {reason}") from None
    template = model.get("custom_chat_template") or tokenizer.chat_template
    if processor is not None and (model.get("custom_chat_template") or not processor.chat_template):
        processor.chat_template = template
    if processor is None:
        tokenizer.chat_template = template
    return tokenizer, processor


def check_templates(config: DictConfig, renderer: PreTrainedTokenizerBase | ProcessorMixin) -> None:
    """Render one prompt of each order of roles in each file, with the settings that training gives the template.

    Args:
        renderer: the processor where the model has one, else the tokenizer.

    Raises:
        ValueError: there is no chat template, or it refuses a prompt; verl would drop such rows without an error.
    """
    if renderer.chat_template is None:
        raise ValueError(
            f"actor_rollout_ref.model.path={config.actor_rollout_ref.model.path}: the tokenizer has no chat template, "
            f"which turns messages into text; use an instruction-tuned model's, or give one in "
            f"actor_rollout_ref.model.custom_chat_template."
        )
    settings: Any = OmegaConf.to_container(config.data.get("apply_chat_template_kwargs") or OmegaConf.create({}))
    for setting in ("train_files", "val_files"):
        for path in data_files(config, setting):
            for roles, messages in _one_of_each(path, config.data.prompt_key).items():
                try:
                    renderer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **settings)
                except Exception as error:  # whatever a template raises
                    advice = "write it into the user's message" if "system" in roles else "change data.prompt_key"
                    raise ValueError(
                        f"data.{setting}: the model's chat template refuses a prompt of {path} with the roles "
                        f"{', '.join(roles)} ({str(error).splitlines()[0]}); {advice}, or give another template in "
                        f"actor_rollout_ref.model.custom_chat_template."
                    ) from None


def _one_of_each(path: Path, column: str) -> dict[tuple[str, ...], list[dict[str, str]]]:
    found: dict[tuple[str, ...], list[dict[str, str]]] = {}
    for messages in read_rows(path, [column])[column].to_pylist():
        found.setdefault(tuple(message["role"] for message in messages), messages)
    return found
