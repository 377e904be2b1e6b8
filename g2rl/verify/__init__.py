"""Is this answer right? Mathematics, multiple choice, and a pool that cannot hang."""

from g2rl.verify.choice import verify_choice
from g2rl.verify.data_sources import DEFAULT_VERIFIERS, check_data_sources, verifier_table
from g2rl.verify.mathematics import same_answer, verify_math
from g2rl.verify.pool import VerifierPool
from g2rl.verify.verdict import Verdict

__all__ = [
    "DEFAULT_VERIFIERS",
    "Verdict",
    "VerifierPool",
    "check_data_sources",
    "same_answer",
    "verifier_table",
    "verify_choice",
    "verify_math",
]
