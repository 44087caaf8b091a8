"""`python -m tests.fuzz`: mutated captures against every decoder, in processes of their own.

python -m tests.fuzz                                   100,000 inputs each
python -m tests.fuzz otlp_traces --inputs 5000 --seed 7
python -m tests.fuzz --replay fuzz-findings/otlp_traces-….bin
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.fuzz.runner import fuzz, replay, work
from tests.fuzz.target import Target


def main(targets: Mapping[str, Target]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {' '.join(targets)} (default: all)")
    parser.add_argument("--inputs", type=int, default=100_000, help="inputs for each decoder")
    parser.add_argument("--seed", type=int, default=None, help="to make the same inputs again")
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder for what is found")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run one finding again, in this process")
    for hidden in ("--child", "--first", "--last"):
        parser.add_argument(hidden, type=str if hidden == "--child" else int, help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.replay is not None:
        replay(given.replay, targets)
        print("It passes.")
        return 0
    if given.child is not None:
        work(targets[given.child], given.seed, given.first, given.last, given.alone, given.out)
        return 0
    unknown = [name for name in given.names if name not in targets]
    if unknown:
        parser.error(f"there is no decoder {unknown[0]!r}; these are: {' '.join(targets)}")
    seed = secrets.randbits(32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    found = 0
    for name in given.names or targets:
        tally = fuzz(targets[name], seed, given.inputs, given.out.absolute())
        print(tally.sentence(), *tally.findings, sep="\n  ", flush=True)
        found += len(tally.findings)
    return 1 if found else 0


if __name__ == "__main__":
    from tests.fuzz.targets import TARGETS

    sys.exit(main(TARGETS))
