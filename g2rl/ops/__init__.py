"""Token-level operations of the log-prob pass, chunked over tokens and without autograd."""

from g2rl.ops.token_pass import TokenSums, token_pass

__all__ = ["TokenSums", "token_pass"]
