"""Which verifier judges which data source."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

VERIFIERS = ("math", "choice", "code")

DEFAULT_VERIFIERS: dict[str, str] = {
    "arithmetic": "math",
    "arithmetic_tool": "math",
    "room": "math",
    "math": "math",
    "math_train": "math",
    "math500": "math",
    "amc": "math",
    "aime24": "math",
    "aime25": "math",
    "gsm8k": "math",
    "dapo_math_17k": "math",
    "choice": "choice",
    "gpqa_diamond": "choice",
    "mmlu_pro": "choice",
    "code": "code",
    "programs": "code",
    "deepcoder": "code",
    "livecodebench": "code",
    "codeforces": "code",
    "humaneval": "code",
    "humaneval_plus": "code",
    "mbpp": "code",
    "mbpp_sanitized": "code",
}


def verifier_table(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The table data source -> verifier, with the user's own lines. ValueError names a verifier that does not exist."""
    extra = dict(extra or {})
    for source, verifier in extra.items():
        if verifier not in VERIFIERS:
            raise ValueError(
                f"reward.reward_kwargs.verifiers.{source} is {verifier!r}; a verifier is one of {', '.join(VERIFIERS)}."
            )
    return {**DEFAULT_VERIFIERS, **extra}


def check_data_sources(sources: Iterable[str], extra: Mapping[str, str] | None = None) -> None:
    """ValueError for the first data source, of those the data names, that no verifier is known for."""
    table = verifier_table(extra)
    for source in sorted(set(sources)):
        if source not in table:
            close = get_close_matches(source, table, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise ValueError(
                f"no verifier is known for data source {source!r}{hint}: set reward.reward_kwargs.verifiers.{source} "
                f"(in an evaluation --verifier {source}=...) to {' or '.join(VERIFIERS)}; known sources are "
                f"{', '.join(sorted(table))}."
            )
