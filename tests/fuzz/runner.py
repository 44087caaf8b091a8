"""Running a decoder's inputs in child processes that may crash, hang or be out of memory.

What must stay true: every finding ends as a file with the input and a command that shows it again; a child
that ends early costs the inputs of one call, which are then tried one by one; time is processor time, so
that a busy machine finds nothing that is not there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutations import mutated
from tests.fuzz.target import Target

MEMORY_BYTES = 1 << 30  # what a call may take beyond what the process had before
_SILENCE_S = 900
FINDINGS_MAX = 10
REPOSITORY = Path(__file__).parents[2]


@dataclass
class Tally:
    """What became of a target's inputs."""

    name: str
    seed: int
    inputs: int = 0
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0
    peak_bytes: int = 0

    def sentence(self) -> str:
        found = f"{len(self.findings)} FINDINGS" if self.findings else "nothing found"
        return (
            f"{self.name}: {self.inputs:,} inputs, {found}, seed {self.seed}, "
            f"{self.seconds:,.0f} s, peak {self.peak_bytes / 2**20:,.0f} MiB"
        )


def input_of(target: Target, corpus: Sequence[bytes], seed: int, number: int) -> bytes:
    return mutated(random.Random(f"{seed}:{target.name}:{number}"), corpus)


def groups(first: int, last: int, size: int) -> Iterator[range]:
    for start in range(first, last, size):
        yield range(start, min(last, start + size))


# In the child.


def work(target: Target, seed: int, first: int, last: int, alone: bool, out: Path) -> None:
    """Run the inputs ``first`` to ``last``, telling on stdout where it is, what it finds and how it ends."""
    corpus = target.corpus()
    target.run(corpus[:1])  # what is built once is not the first input's
    _bound_memory()
    faulthandler.register(signal.SIGPROF, chain=True)  # shows where, then the signal ends the process
    findings = 0
    for numbers in groups(first, last, 1 if alone else target.together):
        inputs = [input_of(target, corpus, seed, number) for number in numbers]
        _tell({"at": numbers.start})
        if _failure(target, inputs, target.cpu_s * (1 if alone else 6)) is None:
            continue
        for number, data in zip(numbers, inputs, strict=True):
            if (why := _failure(target, [data], target.cpu_s)) is not None:
                _tell({"finding": write_finding(out, target, [data], f"{seed}:{number}", why)})
                findings += 1
        if findings >= FINDINGS_MAX:
            break
    _tell({"done": True, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


def _failure(target: Target, inputs: Sequence[bytes], cpu_s: float) -> BaseException | None:
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        target.run(inputs)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a Rust panic is no Exception
        return error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return None


def _bound_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _tell(message: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def write_finding(
    out: Path, target: Target, inputs: Sequence[bytes], which: str, why: BaseException | str
) -> str:
    """Keep the input (of several that only fail together: all, with their lengths). Returns a sentence."""
    out.mkdir(parents=True, exist_ok=True)
    reason = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
    digest = hashlib.blake2b(b"\0".join(inputs), digest_size=6).hexdigest()
    path = out / f"{target.name}-{digest}.bin"
    path.write_bytes(b"".join(len(one).to_bytes(4, "big") + one for one in inputs))
    return f"{target.name} {which}: {reason[:300]} → python -m tests.fuzz --replay {path}"


def replay(path: Path, targets: Mapping[str, Target]) -> None:
    """Run a finding again, here, so that a debugger or a traceback shows it."""
    target = targets[path.name.rpartition("-")[0]]
    data, inputs = path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:4], "big")
        inputs.append(data[4 : 4 + length])
        data = data[4 + length :]
    target.run(inputs)


# In the parent.


def fuzz(target: Target, seed: int, count: int, out: Path, modules: str = "tests.fuzz") -> Tally:
    """``count`` inputs of ``target`` in child processes. ``modules`` is what a child runs."""
    tally, started, first = Tally(target.name, seed), time.monotonic(), 0
    while first < count and len(tally.findings) < FINDINGS_MAX:
        at = _child(tally, target, seed, first, count, False, out, modules)
        if at is None:
            tally.inputs = count
            break
        last = min(count, at + target.together)
        before = len(tally.findings)
        for number in range(at, last):
            if _child(tally, target, seed, number, number + 1, True, out, modules) is not None:
                inputs = [input_of(target, target.corpus(), seed, number)]
                told = write_finding(out, target, inputs, f"{seed}:{number}", "the process ended, see above")
                tally.findings.append(told)
        if len(tally.findings) == before:
            inputs = [input_of(target, target.corpus(), seed, number) for number in range(at, last)]
            which = f"{seed}:{at}-{last - 1}"
            told = write_finding(
                out, target, inputs, which, "the process ended with these together, see above"
            )
            tally.findings.append(told)
        first = tally.inputs = last
    tally.seconds = time.monotonic() - started
    return tally


def _child(
    tally: Tally, target: Target, seed: int, first: int, last: int, alone: bool, out: Path, modules: str
) -> int | None:
    """Run one child. None when it ended well, else the first input of the call it did not come back from."""
    command = [sys.executable, "-m", modules, "--child", target.name, "--seed", str(seed), "--out", str(out)]
    command += ["--first", str(first), "--last", str(last), *(["--alone"] if alone else [])]
    variables = os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, env=variables, text=True)
    at, done = first, False
    assert child.stdout is not None
    watch = Watch(child)
    for line in child.stdout:
        message = json.loads(line)
        watch.touch()
        at = message.get("at", at)
        if "finding" in message:
            tally.findings.append(message["finding"])
        if "done" in message:
            done = True
            tally.peak_bytes = max(tally.peak_bytes, message["peak"])
    watch.stop()
    child.wait()
    return None if done else at


class Watch:
    """Ends a child that says nothing for long: one that sleeps uses no processor time."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child, self._touched = child, time.monotonic()
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def touch(self) -> None:
        self._touched = time.monotonic()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        while not self._stopped.wait(1):
            if time.monotonic() - self._touched > _SILENCE_S:
                with contextlib.suppress(ProcessLookupError):
                    self._child.kill()
                return
