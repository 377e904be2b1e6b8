"""The tool of task=arithmetic_tool, as verl loads it (actor_rollout_ref.rollout.multi_turn.function_tool_path)."""

from verl.tools.function_tool import function_tool

from g2rl.data.arithmetic_tool import value


@function_tool
def calculate(expression: str) -> str:
    """The value of an expression.

    Args:
        expression: integers, +, - and *, as in 12*34+5.
    """
    return value(expression)
