"""`reward.reward_kwargs`: the settings of this project's reward manager."""

from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from g2rl.verify import verifier_table
from g2rl.verify.code import CodeSettings


@dataclass
class OverlongBuffer:
    """DAPO's soft overlong punishment (arXiv 2503.14476, eq. 13), with verl's names for its settings.

    A response may use `max_resp_len - len` tokens freely; past that the reward falls linearly, to `-penalty_factor`
    at `max_resp_len`. With `log`, the punishment of each response goes into its extra info.
    """

    enable: bool = False
    len: int = 4096
    penalty_factor: float = 1.0
    log: bool = False


@dataclass
class RewardSettings:
    """`reward.reward_kwargs`.

    max_resp_len: length limit of a response in tokens; a response that reaches it without an end token is wrong.
    verifiers: data source -> "math", "choice" or "code", for sources that the built-in table does not name.
    timeout_s: wall-clock limit of one comparison; past it the answer is wrong.
    pool_workers, memory_mb: verifier processes of each reward worker, and the address space of each.
    code: limits and isolation of programs, see `g2rl.verify.code.CodeSettings`; here a program's tests may take 60
        seconds of processor time together unless `total_timeout_s` says otherwise.
    """

    max_resp_len: int
    verifiers: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 5.0
    pool_workers: int = 2
    memory_mb: int = 1024
    code: dict[str, Any] = field(default_factory=dict)
    overlong_buffer_cfg: OverlongBuffer = field(default_factory=OverlongBuffer)

    def __post_init__(self) -> None:
        for name in ("max_resp_len", "timeout_s", "pool_workers", "memory_mb"):
            if getattr(self, name) <= 0:
                raise ValueError(f"reward.reward_kwargs.{name} is {getattr(self, name)}; it must be positive.")
        buffer = self.overlong_buffer_cfg
        if buffer.enable and not 0 < buffer.len <= self.max_resp_len:
            raise ValueError(
                f"reward.reward_kwargs.overlong_buffer_cfg.len is {buffer.len}; set it between 1 and max_resp_len "
                f"({self.max_resp_len}), or set enable to False."
            )
        verifier_table(self.verifiers)
        _ = self.code_settings

    @property
    def code_settings(self) -> CodeSettings:
        try:
            return CodeSettings(**{"total_timeout_s": 60.0, **self.code})
        except TypeError:
            known = [field.name for field in fields(CodeSettings)]
            unknown = sorted(self.code.keys() - known)
            raise ValueError(
                f"reward.reward_kwargs.code.{unknown[0]} does not exist; there are {', '.join(known)}."
            ) from None
        except ValueError as error:
            raise ValueError(f"reward.reward_kwargs.{error}") from None


def reward_settings(config: DictConfig) -> RewardSettings:
    """The settings `reward.reward_kwargs` of a trainer config.

    Raises:
        ValueError: a setting that does not exist, or a value that it cannot take; names both.
    """
    given = OmegaConf.to_container(config.reward.get("reward_kwargs") or OmegaConf.create({}), resolve=True)
    assert isinstance(given, dict)
    if "max_resp_len" not in given:
        given["max_resp_len"] = config.actor_rollout_ref.rollout.response_length
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(RewardSettings), given))
    except OmegaConfBaseException as error:
        raise ValueError(f"reward.reward_kwargs.{error.full_key}: {str(error.msg).splitlines()[0]}") from None
    assert isinstance(settings, RewardSettings)
    return settings


def overlong_penalty(response_length: int, settings: RewardSettings) -> float:
    """What the soft overlong punishment adds to the reward of a response of `response_length` tokens: 0 or negative."""
    buffer = settings.overlong_buffer_cfg
    if not buffer.enable:
        return 0.0
    exceeded = response_length - (settings.max_resp_len - buffer.len)
    return min(-exceeded / buffer.len * buffer.penalty_factor, 0.0)
