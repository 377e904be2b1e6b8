"""Is this program right? Programs that a model wrote, run in a sandbox on the tests of a problem."""

from g2rl.verify.code.client import probe
from g2rl.verify.code.code_pool import CodePool
from g2rl.verify.code.code_settings import CodeSettings

__all__ = ["CodePool", "CodeSettings", "probe"]
