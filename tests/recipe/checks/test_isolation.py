"""How programs are run is printed by `scripts/check.sh` and asked of every node of a cluster."""

import platform
import sys

import pytest

from g2rl.verify.code import CodeSettings, probe
from recipe.g2rl.checks import environment
from recipe.g2rl.checks.nodes import refuse_unlike, seen_here


def test_check_prints_how_programs_are_run(capsys, monkeypatch):
    environment.main()
    assert capsys.readouterr().out.splitlines()[-1].split(maxsplit=1) == ["programs", probe()[len("programs ") :]]
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    environment.main()
    assert "there is no interpreter '/no/such/python'" in capsys.readouterr().out.splitlines()[-1]


def test_a_node_that_cannot_run_programs_is_named(tmp_path):
    views = [seen_here(str(tmp_path), [], code) for code in (None, CodeSettings())]
    refuse_unlike(views, environment.installed(), tmp_path)
    lacking = seen_here(str(tmp_path), [], CodeSettings(python="/no/such/python"))
    with pytest.raises(ValueError, match=f"node {platform.node()}: .*code.python: there is no interpreter"):
        refuse_unlike([*views, lacking], environment.installed(), tmp_path)
