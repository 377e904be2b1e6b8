r"""LaTeX without what only concerns its looks: styles, colours, boxes, sizes, spacing, kinds of fractions and brackets.

An answer is parsed with pylatexenc, which knows groups, arguments and environments as a regular expression does not,
and is written again from its nodes: `\color{red}\dfrac 1 2` becomes `\frac{1}{2}`. Commands without a row in the tables
below are written as they are.
"""

import re
from collections.abc import Sequence

from pylatexenc import latexwalker, macrospec
from pylatexenc.latexwalker import LatexCharsNode, LatexEnvironmentNode, LatexGroupNode, LatexMacroNode, LatexNode

from g2rl.verify.characters import closing

# Commands with arguments: names, arguments ({ needed, [ and * optional), what is written (%1 is the first argument).
_COMMANDS = [
    ("frac dfrac tfrac sfrac nicefrac xfrac flatfrac", "{{", r"\frac{%1}{%2}"),
    ("cfrac", "[{{", r"\frac{%2}{%3}"),
    ("binom dbinom tbinom", "{{", r"\binom{%1}{%2}"),
    ("sqrt", "[{", r"\sqrt[%1]{%2}"),
    ("overline bar", "{", r"\overline{%1}"),
    ("dot", "{", r"\dot{%1}"),
    ("text textrm textnormal textbf textit textsf texttt textsc textup textmd textsl emph", "{", r"\text{%1}"),
    ("mbox hbox mathrm operatorname mathop mathbf mathit mathsf mathtt mathnormal", "{", r"\text{%1}"),
    ("boldsymbol bm pmb bold symbf symit symup symbfit mathbfit", "{", "%1"),
    ("fbox boxed underline uline smash rlap llap clap mathrlap mathllap mathclap", "{", "%1"),
    ("mathord mathrel mathbin mathopen mathclose mathpunct mathinner ensuremath", "{", "%1"),
    ("framebox makebox", "[[{", "%3"),
    ("textcolor mathcolor colorbox", "[{{", "%3"),
    ("fcolorbox", "[{{{", "%4"),
    ("raisebox scalebox", "{[{", "%3"),
    ("resizebox", "{{{", "%3"),
    ("color pagecolor", "[{", ""),
    ("tag label", "*{", ""),
    ("phantom hphantom vphantom mspace", "{", " "),
    ("hspace vspace", "*{", " "),
    ("textsuperscript sp", "{", "^{%1}"),
    ("textsubscript sb", "{", "_{%1}"),
    ("num", "[{", "%2"),
    ("qty SI", "[{{", r"%2\text{ %3}"),
    ("unit si", "[{", r"\text{ %2}"),
    ("ang", "[{", r"%2^\circ"),
]
# Commands without arguments, and what they become.
_SYMBOLS = [
    ("displaystyle textstyle scriptstyle scriptscriptstyle limits nolimits nonumber notag normalcolor", ""),
    ("bf bfseries it itshape sf sffamily tt ttfamily sc em mdseries upshape normalfont boldmath unboldmath", ""),
    ("tiny scriptsize footnotesize small normalsize large Large LARGE huge Huge strut mathstrut relax null", ""),
    ("left right middle mleft mright nobreak allowbreak noindent ! /", ""),
    (" ".join(size + side for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")), ""),
    (", : ; > quad qquad enspace enskip thinspace medspace thickspace negthinspace negmedspace negthickspace", " "),
    ("space nobreakspace hfill hline", " "),
    ("lbrace", r"\{"), ("rbrace", r"\}"), ("lbrack", "["), ("rbrack", "]"), ("lparen", "("), ("rparen", ")"),
    ("lvert rvert vert mid", "|"), ("lVert rVert Vert", r"\|"), ("colon", ":"), ("lt", "<"), ("gt", ">"), ("cr", r"\\"),
    ("leq leqslant leqq", r"\le "), ("geq geqslant geqq", r"\ge "), ("ne", r"\neq "), ("ast", "*"),
    ("varnothing", r"\emptyset "), ("infin", r"\infty "), ("degree textdegree", r"^\circ "), ("percent", r"\%"),
    ("setminus smallsetminus", r"\setminus "), ("cdotp centerdot", r"\cdot "), ("textdollar mathdollar", r"\$"),
    ("euro texteuro", "€"), ("pounds textsterling", "£"), ("yen textyen", "¥"), ("cent textcent", "¢"),
    ("rupee textrupee", "₹"), ("textwon", "₩"), ("textbaht", "฿"), ("textpeso", "₱"), ("textlira", "₤"),
]  # fmt: skip
_FUNCTIONS = "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan log ln exp lg gcd lcm max min"
FUNCTIONS = _FUNCTIONS.split()

_COMMAND = {name: (arguments, written) for names, arguments, written in _COMMANDS for name in names.split()}
_SYMBOL = {name: written for names, written in _SYMBOLS for name in names.split()} | {" ": " ", "\n": " "}
_LENGTHS = {"kern", "mkern", "hskip", "mskip"}
_LENGTH = re.compile(r"\s*-?[\d.]+\s*(?:pt|em|ex|mu|mm|cm|in)\s*")
_INFIX = {"over": r"\frac", "choose": r"\binom"}
_ENVIRONMENT = re.compile(r"small|\*")  # psmallmatrix, pmatrix*
_ATOM = re.compile(r"\\text\{[^{}]*\}|\d*\.?\d*|[A-Za-z]|\\[A-Za-z]+ ?|[-+=:<>/]")
_LEADING_NUMBER = re.compile(r"([-+]?\d[\d.,/]*)\s+(?=[A-Za-z])")

_CONTEXT = macrospec.LatexContextDb()
_CONTEXT.add_context_category(
    "answers",
    macros=[macrospec.MacroSpec(name, arguments) for name, (arguments, _) in _COMMAND.items()],
    environments=[macrospec.EnvironmentSpec("array", "[{"), macrospec.EnvironmentSpec("pmatrix*", "[")],
    specials=[],
)
_CONTEXT.set_unknown_macro_spec(macrospec.MacroSpec(""))
_CONTEXT.set_unknown_environment_spec(macrospec.EnvironmentSpec(""))

# Half of all answers that are no plain number; parsing would take ten times as long and change nothing.
_WRITTEN_SO = re.compile(r"(?:[^\\{}$%~]|(?<![_^])\\(?:frac\{[0-9]+\}\{[0-9]+\}|sqrt\{[0-9]+\}))*")
_SIGNS = re.compile(r"\\[()\[\]]|\\.|[$%~]", re.DOTALL)
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z])")
_MAX_DEPTH = 20


def plain_latex(answer: str) -> str:
    """The answer without layout; what cannot be parsed, or is nested too deep for an answer, stays as it is."""
    if _WRITTEN_SO.fullmatch(answer):
        return " ".join(answer.split())
    if _depth(answer) > _MAX_DEPTH:
        return answer
    if r"\begin" not in answer:
        answer = _DOUBLED.sub(r"\\", answer)  # some models double every backslash
    source = _SIGNS.sub(_plain_sign, answer).replace(r",\!", "{,}")
    try:
        nodes, _, _ = latexwalker.LatexWalker(source, latex_context=_CONTEXT, tolerant_parsing=False).get_latex_nodes()
    except latexwalker.LatexWalkerError:
        return answer
    return " ".join(_write(nodes).split())


def _depth(text: str) -> int:
    depth = deepest = 0
    for brace in re.findall(r"[{}]|\\begin|\\end", text):
        depth += 1 if brace in ("{", r"\begin") else -1
        deepest = max(deepest, depth)
    return deepest


def _plain_sign(match: re.Match) -> str:
    """Signs that switch to mathematics mean nothing in an answer, and a percent sign begins no comment."""
    sign = match.group()
    if sign in ("$", r"\(", r"\)", r"\[", r"\]"):
        return ""
    return {"%": r"\%", "~": " "}.get(sign, sign)


def _write(nodes: Sequence[LatexNode]) -> str:
    for place, node in enumerate(nodes):
        if isinstance(node, LatexMacroNode) and node.macroname in _INFIX:
            return f"{_INFIX[node.macroname]}{{{_write(nodes[:place])}}}{{{_write(nodes[place + 1 :])}}}"
    text, takes_groups = "", False  # an unknown command may take the groups behind it
    for place, node in enumerate(nodes):
        piece = ""
        if isinstance(node, LatexGroupNode):
            piece = _write(node.nodelist)
            following = _first_character(nodes[place + 1 :])
            touches = piece[:1].isdigit() and (text[-1:].isdigit() or following.isdigit())
            only = len(nodes) == 1 and piece != ","
            needed = takes_groups or (text.endswith(("^", "_")) and piece.strip() != r"\circ")
            if needed or (not only and (touches or following in ("^", "_", "!", "'") or not _ATOM.fullmatch(piece))):
                piece = f"{{{piece}}}"
        elif isinstance(node, LatexMacroNode):
            if node.macroname == "rm":  # the rest of the group is text
                rest = _write(nodes[place + 1 :])
                words = re.match(r"\s*\{?([A-Za-z .]+)\}?", rest)
                return _join(text, _text(words[1]) + rest[words.end() :] if words else rest)
            piece = _command(node, text)
        elif isinstance(node, LatexEnvironmentNode):
            piece = _environment(node)
        else:
            piece = node.chars if isinstance(node, LatexCharsNode) else node.latex_verbatim()
            before = nodes[place - 1] if place else None
            if isinstance(before, LatexMacroNode) and _SYMBOL.get(before.macroname) == "":
                piece = piece.removeprefix(".") if before.macroname.endswith(("left", "right", "middle")) else piece
            if isinstance(before, LatexMacroNode) and before.macroname in _LENGTHS:
                piece = _LENGTH.sub(" ", piece, count=1)
        if piece.strip():
            takes_groups = _is_unknown(node) or (takes_groups and isinstance(node, LatexGroupNode))
        text = _join(text, piece)
    only_group = text.strip().startswith("{") and closing(text.strip(), "{}") == len(text.strip())
    return text.strip()[1:-1] if only_group and text.strip() != "{,}" else text


def _join(text: str, piece: str) -> str:
    return f"{text} {piece}" if piece[:1].isalpha() and re.search(r"\\[A-Za-z]+$", text) else text + piece


def _first_character(nodes: Sequence[LatexNode]) -> str:
    return nodes[0].chars.lstrip()[:1] if nodes and isinstance(nodes[0], LatexCharsNode) else ""


def _is_unknown(node: LatexNode) -> bool:
    return isinstance(node, LatexMacroNode) and node.macroname not in _COMMAND and node.macroname not in _SYMBOL


def _command(node: LatexMacroNode, before: str) -> str:
    name = node.macroname
    if name in _LENGTHS:
        return " "
    if name in _SYMBOL:
        symbol = _SYMBOL[name]
        return symbol.lstrip("^") if before.endswith("^") else symbol
    if name not in _COMMAND:
        return f"\\{name}{node.macro_post_space}"
    given = [] if node.nodeargd is None else node.nodeargd.argnlist
    written = _COMMAND[name][1]
    if not given and "%1" in written:
        return f"\\{name}"  # it is an argument itself and has none: \sqrt\frac
    arguments = [_argument(argument) for argument in given]
    if written == r"\text{%1}":
        group = given[0]
        return _text(_write(group.nodelist if isinstance(group, LatexGroupNode) else [group]))
    for number, argument in enumerate(arguments, start=1):
        written = written.replace(f"%{number}", argument)
    if name == "num":
        written = written.replace(" ", "")
    written = written.replace("[]", "")
    return f"{{{written}}}" if before.endswith(("^", "_")) and len(written) > 1 else written


def _argument(node: LatexNode | None) -> str:
    if node is None:
        return ""
    return _write(node.nodelist if isinstance(node, LatexGroupNode) else [node]).strip()


def _environment(node: LatexEnvironmentNode) -> str:
    name = _ENVIRONMENT.sub("", node.environmentname)
    arguments = "".join(a.latex_verbatim() for a in node.nodeargd.argnlist if a) if name == "array" else ""
    return rf"\begin{{{name}}}{arguments}{_write(node.nodelist)}\end{{{name}}}"


def _text(inner: str) -> str:
    r"""Words as `\text{}`, without the number that they may begin with; what holds no word is mathematics."""
    words = " ".join(inner.replace("^{2}", "^2").replace("^{3}", "^3").split())
    if not re.search(r"[A-Za-z]", words) or re.search(r"\\[A-Za-z]|[{}]", words):
        return inner
    if words in FUNCTIONS:
        return f"\\{words} "
    number = _LEADING_NUMBER.match(words)
    before = number[1] + " " if number else " " * inner[:1].isspace()
    return rf"{before}\text{{{words[number.end() if number else 0 :]}}}{' ' * inner[-1:].isspace()}"
