"""A small round of the fuzzer (`make fuzz` is the long one), and that it finds what it is there to find."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz import bad_targets
from tests.fuzz.mutations import INPUT_BYTES_MAX
from tests.fuzz.runner import fuzz, groups, input_of, replay
from tests.fuzz.targets import TARGETS

SEED, INPUTS = 20261122, {"format_strings": 40}  # each compiles an expression of its own


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_inputs_are_answered(name: str) -> None:
    """Whatever a decoder is given becomes rows, rejects or its own error; intact exports keep all their rows."""
    target = TARGETS[name]
    corpus = target.corpus()
    for numbers in groups(0, INPUTS.get(name, 200), target.together):
        target.run([input_of(target, corpus, SEED, number) for number in numbers])


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_are_made_of_real_ones_and_the_same_again(name: str) -> None:
    """A seed and a number name an input; most are changed, some are intact, none is endless."""
    target = TARGETS[name]
    corpus = target.corpus()
    made = [input_of(target, corpus, SEED, number) for number in range(100)]
    assert made == [input_of(target, corpus, SEED, number) for number in range(100)]
    assert 0 < sum(one in corpus for one in made) < 60
    assert max(map(len, made)) <= max(INPUT_BYTES_MAX, *map(len, corpus))


@pytest.mark.slow
@pytest.mark.parametrize("name", bad_targets.TARGETS)
def test_a_defect_is_found_and_can_be_shown_again(name: str, tmp_path: Path) -> None:
    """An exception, a crash, a hang and memory without end each end as a file with the input that did it."""
    target = bad_targets.TARGETS[name]
    corpus = target.corpus()
    seed = next(
        seed
        for seed in range(1000)
        if [input_of(target, corpus, seed, number).startswith(bad_targets.BAD) for number in range(3)].count(
            True
        )
        == 1
    )
    tally = fuzz(target, seed, 3, tmp_path, "tests.fuzz.bad_targets")
    assert (tally.inputs, len(tally.findings)) == (3, 1)
    assert "FINDINGS" in tally.sentence()
    (kept,) = tmp_path.iterdir()
    assert f"--replay {kept}" in tally.findings[0]
    assert kept.read_bytes()[4:].startswith(bad_targets.BAD)
    if name == "raises":
        with pytest.raises(KeyError, match="a defect"):
            replay(kept, bad_targets.TARGETS)


def test_every_kind_of_change_keeps_to_bytes() -> None:
    """No change fails on nothing at all, on one byte, or on text that is no protobuf."""
    from tests.fuzz.mutations import CHANGES

    chance = random.Random(1)
    for change in CHANGES:
        for data in (b"", b"x", b"[1, 22, 333]", bytes(range(256))):
            for _ in range(20):
                assert isinstance(change(chance, data, [data]), bytes)
