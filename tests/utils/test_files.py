import subprocess
import sys

import pytest

from g2rl.utils.files import atomic_file, atomic_folder


def test_a_file_is_whole_or_not_there(tmp_path):
    target = tmp_path / "folder" / "a.txt"
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    for text in ("first", "second"):
        with atomic_file(target) as temporary:
            temporary.write_text(text)
    with pytest.raises(RuntimeError), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "second"
    assert [path.name for path in target.parent.iterdir()] == ["a.txt"]


def test_a_folder_is_whole_or_not_there(tmp_path):
    target = tmp_path / "cache" / "model"
    with pytest.raises(RuntimeError), atomic_folder(target) as building:
        (building / "weights").write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    with atomic_folder(target) as building:
        (building / "weights").write_text("whole")
    assert (target / "weights").read_text() == "whole"


BUILD = """
import sys, time
from pathlib import Path
from g2rl.utils.files import atomic_folder
target, name = Path(sys.argv[1]), sys.argv[2]
with atomic_folder(target) as building:
    (building / "weights").write_text(name)
    while len(list(target.parent.glob(".model.*/weights"))) < 3:  # until all are about to rename
        time.sleep(0.01)
    (target.parent / f"ready-{name}").touch()
    while len(list(target.parent.glob("ready-*"))) < 3:
        time.sleep(0.01)
    (building / "done").write_text(name)
"""


def test_several_processes_build_one_folder(tmp_path):
    target = tmp_path / "model"
    processes = [subprocess.Popen([sys.executable, "-c", BUILD, str(target), str(number)]) for number in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert [path.name for path in tmp_path.glob("[.m]*")] == ["model"]
    assert (target / "weights").read_text() == (target / "done").read_text()
