"""The file of samples survives kills, a full disk and a cut-off last line, and takes no sample twice."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from g2rl.evaluation.samples import Sample, SampleLog, read_samples

WRITER = """
import sys
from pathlib import Path
from g2rl.evaluation.samples import Sample, SampleLog
log = SampleLog(Path(sys.argv[1]))
print("open", flush=True)
number = len(log.keys)
while True:
    log.append([Sample("p", number, "x" * 5000, [1] * 1000, "stop")])
    number += 1
"""


def some(problem, count, start=0):
    return [Sample(problem, i, f"é\n\u2028 {i}", [i, 2], "stop") for i in range(start, start + count)]


def test_samples_come_back_as_they_were(tmp_path):
    path = tmp_path / "new" / "samples.jsonl"
    samples = [*some("1", 3), Sample("2", 0, "", [], "length")]
    with SampleLog(path) as log:
        log.append(samples[:2])
        assert read_samples(path) == samples[:2]
        log.append(samples[2:])
        assert log.keys == {("1", 0), ("1", 1), ("1", 2), ("2", 0)}
    assert read_samples(path) == samples


def test_a_cut_off_last_line_is_dropped_and_written_again(tmp_path):
    path = tmp_path / "samples.jsonl"
    with SampleLog(path) as log:
        log.append(some("1", 3))
    whole = path.read_bytes()
    for cut in (1, 2, 30):
        path.write_bytes(whole[:-cut])
        assert len(read_samples(path)) == 2
        with SampleLog(path) as log:
            assert log.keys == {("1", 0), ("1", 1)}
            log.append(some("1", 1, start=2))
        assert path.read_bytes() == whole


def test_a_line_that_is_no_sample_is_named(tmp_path):
    path = tmp_path / "samples.jsonl"
    with SampleLog(path) as log:
        log.append(some("1", 2))
    path.write_bytes(b'{"problem": "1"}\n' + path.read_bytes())
    with pytest.raises(ValueError, match="line 1: not a sample"):
        SampleLog(path)
    path.write_bytes(path.read_bytes().split(b"\n", 1)[1] * 2)
    with pytest.raises(ValueError, match="line 3: sample 0 of problem 1 is there twice"):
        read_samples(path)


def test_kill_in_mid_write_loses_no_finished_sample(tmp_path):
    path = tmp_path / "samples.jsonl"
    for _ in range(3):
        before = len(read_samples(path)) if path.exists() else 0
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
        assert writer.stdout.readline() == b"open\n"
        while path.stat().st_size < (before + 3) * 8000:
            pass
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        samples = read_samples(path)
        assert len(samples) > before
        assert [sample.sample for sample in samples] == list(range(len(samples)))


def test_two_processes_cannot_write_one_file(tmp_path):
    path = tmp_path / "samples.jsonl"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE)
    try:
        assert writer.stdout.readline() == b"open\n"
        with pytest.raises(RuntimeError, match="another process"):
            SampleLog(path)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()


def test_a_write_that_fails_half_way_leaves_whole_lines(tmp_path):
    """The kernel's limit on a file's size fails a write after its first part, as a full disk does."""
    path = tmp_path / "samples.jsonl"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with SampleLog(path) as log:
        log.append(some("1", 2))
        size = path.stat().st_size
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, limits[1]))
        try:
            with pytest.raises(OSError, match="its 2 samples are whole: make room and run the same command again"):
                log.append(some("1", 1, start=2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert path.stat().st_size == size
        log.append(some("1", 1, start=2))
    assert [sample.sample for sample in read_samples(path)] == [0, 1, 2]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk_is_one_clear_error_and_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine does not let a test mount a disk")
    try:
        path = disk / "samples.jsonl"
        with SampleLog(path) as log:
            written = 0
            with pytest.raises(OSError, match=r"could not be written \(No space left on device\)"):
                while True:
                    log.append([Sample("1", written, "x" * 3000, [1], "stop")])
                    written += 1
            assert written > 10 and len(read_samples(path)) == written == len(log.keys)
    finally:
        subprocess.run(["umount", disk], check=True)
