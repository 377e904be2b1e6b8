"""The file of finished samples: appended to and flushed to the disk one by one, so that a killed run loses none."""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One response to one problem; a line of the file."""

    problem: str  # id within the benchmark
    sample: int  # 0 ≤ sample < samples a problem
    response: str
    response_ids: list[int]  # end-of-sequence token included
    finish_reason: str  # "stop", or "length" where the token limit cut the response off

    @property
    def key(self) -> tuple[str, int]:
        return self.problem, self.sample


class SampleLog:
    """Append-only JSON-lines file of `Sample`s, open in one process at a time.

    Opening it drops a last line that a kill has cut off. `keys` are the (problem, sample) pairs in the file.

    Raises:
        ValueError: a line before the last is no sample, or two lines are the same sample.
        RuntimeError: another process has the file open.
    """

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise RuntimeError(f"{path} is open in another process; wait for it or choose another --out.") from None
        self._size = len(whole_lines(path))
        os.ftruncate(self._file, self._size)
        self.keys = {sample.key for sample in read_samples(path)}

    def append(self, samples: Sequence[Sample]) -> None:
        """Write the samples and wait until they are on the disk.

        Raises:
            OSError: they could not be written, for instance because the disk is full; the file is as it was before.
        """
        data = b"".join(json.dumps(asdict(s), ensure_ascii=False).encode() + b"\n" for s in samples)
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise OSError(
                error.errno,
                f"{self.path} could not be written ({error.strerror}); its {len(self.keys)} samples are whole: "
                "make room and run the same command again",
            ) from error
        self._size += len(data)
        self.keys.update(sample.key for sample in samples)

    def close(self) -> None:
        os.close(self._file)

    def __enter__(self) -> "SampleLog":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_samples(path: Path) -> list[Sample]:
    """The samples of a file, one that is still being written or was cut off in its last line included.

    Raises:
        ValueError: a whole line is no sample, or two lines are the same sample.
    """
    samples: dict[tuple[str, int], Sample] = {}
    for number, line in enumerate(whole_lines(path).splitlines(), start=1):
        try:
            sample = Sample(**json.loads(line))
        except (ValueError, TypeError):
            raise ValueError(f"{path}, line {number}: not a sample; remove the line and run again.") from None
        if sample.key in samples:
            raise ValueError(
                f"{path}, line {number}: sample {sample.sample} of problem {sample.problem} is there twice."
            )
        samples[sample.key] = sample
    return list(samples.values())


def whole_lines(path: Path) -> bytes:
    """The content of a file up to its last line break; what follows was cut off."""
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]
