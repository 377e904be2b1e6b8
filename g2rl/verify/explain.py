"""Why is an answer right or wrong? For a person who looks into a verdict."""

from g2rl.verify.boxes import last_boxed
from g2rl.verify.choice import verify_choice
from g2rl.verify.mathematics import compare_forms
from g2rl.verify.notation import NormalForm, normal_form
from g2rl.verify.pool import VerifierPool


def explain(gold: str, answer: str, *, timeout_s: float = 5.0) -> str:
    """Verdict, both normal forms and the step that decided, a line each; algebra is given up after `timeout_s`."""
    gold_form, answer_form = normal_form(gold), normal_form(answer)
    correct, step = compare_forms(gold_form, answer_form)
    if correct is None:
        with VerifierPool(1, timeout_s) as pool:
            verdict = pool.submit(rf"\boxed{{{answer}}}", gold).result()
        correct = verdict.correct
        step = f"math-verify, which was given up ({verdict.failure})" if verdict.failure else "math-verify"
    lines = [f"verdict: {'right' if correct else 'wrong'}", f"gold:    {_line(gold, gold_form)}"]
    return "\n".join([*lines, f"answer:  {_line(answer, answer_form)}", f"decided by: {step}"])


def explain_response(response: str, gold: str, *, verifier: str = "math", num_choices: int | None = None) -> str:
    """The same for a whole response, whose answer is in its last box; with verifier "choice" for an option letter."""
    answer = last_boxed(response)
    if answer is None:
        return f"verdict: wrong\ngold:    {gold}\nanswer:  none\ndecided by: the response has no complete \\boxed{{}}"
    if verifier == "math":
        return explain(gold, answer)
    verdict = verify_choice(response, gold, num_choices)
    lines = [f"verdict: {'right' if verdict.correct else 'wrong'}", f"gold:    {gold}"]
    return "\n".join([*lines, f"answer:  {answer}  ->  {verdict.answer}", "decided by: the option letters"])


def _line(answer: str, form: NormalForm) -> str:
    return f"{answer}  ->  {form.value}" + (f"  (unit: {form.unit})" if form.unit else "")
