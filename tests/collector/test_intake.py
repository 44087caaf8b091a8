"""The one door: every export gets exactly one answer, and "taken" means it is in the journal."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future

import pyarrow as pa
import pytest

from collector.answers import TAKEN, Answer
from collector.decode.types import Decoded, Export
from collector.errors import (
    DecoderFailed,
    Draining,
    JournalFull,
    JournalWriteFailed,
    Overloaded,
    Undecodable,
)
from collector.intake import Intake, digest_of
from collector.metrics import Metrics
from store.frames import Batch
from tests.collector.running import STAND_INS, stand_in


class HeldJournal:
    """A journal whose disk the test plays."""

    def __init__(self) -> None:
        self.batches: list[tuple[Batch, Future[int]]] = []
        self.full = False
        self.appended = threading.Semaphore(0)

    def append(self, batch: Batch) -> Future[int]:
        future: Future[int] = Future()
        self.batches.append((batch, future))
        self.appended.release()
        return future

    def is_full(self) -> bool:
        return self.full

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.appended.acquire, True, 120)


class ReadyJournal(HeldJournal):
    def append(self, batch: Batch) -> Future[int]:
        future = super().append(batch)
        future.set_result(100)
        return future


def an_intake(journal: HeldJournal, decoders=STAND_INS, limit: int = 1 << 20) -> Intake:
    return Intake(journal, decoders, Metrics("test"), limit)


async def outcome(future: asyncio.Future[Answer]) -> Answer | type[BaseException]:
    try:
        return await asyncio.wait_for(future, 120)
    except Exception as error:
        return type(error)


def test_answer_follows_the_journal():
    """No answer before the journal says durable; then all of the group at once."""

    async def scenario() -> None:
        journal = HeldJournal()
        intake = an_intake(journal)
        first = intake.offer("otlp_traces", b"one", "10.0.0.1")
        await journal.wait()
        await asyncio.sleep(0.05)
        assert not first.done()
        journal.batches[0][1].set_result(100)
        assert await outcome(first) == TAKEN
        assert intake.room.used == 0
        await intake.drain(1)

    asyncio.run(scenario())


def test_what_waits_is_decoded_together():
    """While the decoder is busy everything that comes is gathered into one batch per kind, in order."""
    gate = threading.Event()
    entered = threading.Event()
    groups: list[list[bytes]] = []

    def slow(exports: list[Export]) -> Decoded:
        groups.append([export.body for export in exports])
        entered.set()
        gate.wait(10)
        return stand_in(exports)

    async def scenario() -> None:
        intake = an_intake(ReadyJournal(), {"otlp_traces": slow, "als": slow})
        answers = [intake.offer("otlp_traces", b"0", None)]
        assert await asyncio.to_thread(entered.wait, 120)
        answers += [intake.offer("otlp_traces", b"%d" % n, None) for n in range(1, 6)]
        answers.append(intake.offer("als", b"log", None))
        gate.set()
        assert await asyncio.gather(*map(outcome, answers)) == [TAKEN] * 7
        assert groups == [[b"0"], [b"1", b"2", b"3", b"4", b"5"], [b"log"]]
        await intake.drain(1)

    asyncio.run(scenario())


def test_each_export_of_a_group_gets_its_own_answer():
    """Refused, partly rejected, empty and good bodies in one group do not disturb each other."""
    bodies = {
        b"good": TAKEN,
        b"bad": Undecodable,
        b"half": Answer(2, "spans[3].trace_id is 15 bytes long"),
        b"": TAKEN,
        b"fine": TAKEN,
    }

    async def scenario() -> None:
        journal = ReadyJournal()
        intake = an_intake(journal)
        answers = [intake.offer("otlp_traces", body, None) for body in bodies]
        assert await asyncio.gather(*map(outcome, answers)) == list(bodies.values())
        await intake.drain(1)
        rows = [
            (batch.exports[row["export"]].digest, row["reason"])
            for batch, _ in journal.batches
            for row in batch.tables["rejects"].to_pylist()
        ]
        assert rows == [
            (digest_of("otlp_traces", Export(body, None, 0)), told)
            for body, told in (
                (b"good", "good"),
                (b"half", "half"),
                (b"fine", "fine"),
                (b"bad", "this is no message"),  # the refusal, where its sample can be looked up
            )
        ]

    asyncio.run(scenario())


def test_nothing_to_store_needs_no_journal():
    """An empty export is answered without a frame."""

    async def scenario() -> None:
        journal = HeldJournal()
        intake = an_intake(journal)
        assert await outcome(intake.offer("otlp_logs", b"", None)) == TAKEN
        assert journal.batches == []
        await intake.drain(1)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (JournalFull("full"), JournalFull),
        (JournalWriteFailed("disk"), JournalWriteFailed),
        (ValueError("x"), JournalWriteFailed),
    ],
)
def test_failed_journal(error, told):
    """What the journal could not keep is answered as retryable, but broken bytes stay broken."""

    async def scenario() -> None:
        journal = HeldJournal()
        intake = an_intake(journal)
        answers = [intake.offer("otlp_traces", body, None) for body in (b"good", b"bad")]
        await journal.wait()
        journal.batches[0][1].set_exception(error)
        assert await asyncio.gather(*map(outcome, answers)) == [told, Undecodable]
        assert intake.room.used == 0
        await intake.drain(1)

    asyncio.run(scenario())


def test_defect_of_a_decoder_hits_only_what_causes_it():
    """A decoder that raises costs the exports that make it raise, not their neighbours."""

    async def scenario() -> None:
        intake = an_intake(ReadyJournal())
        bodies = [b"a", b"boom", b"b", b"c", b"boom2", b"d"]
        answers = [intake.offer("otlp_traces", body, None) for body in bodies]
        expected = [DecoderFailed if body.startswith(b"boom") else TAKEN for body in bodies]
        assert await asyncio.gather(*map(outcome, answers)) == expected
        assert await outcome(intake.offer("otlp_traces", b"after", None)) == TAKEN
        await intake.drain(1)

    asyncio.run(scenario())


def test_bounded():
    """Past the limit of waiting bytes exports are refused; streams wait until room is given back."""

    async def scenario() -> None:
        journal = HeldJournal()
        intake = an_intake(journal, limit=10_000)
        first = intake.offer("otlp_traces", b"x" * 8000, None)
        with pytest.raises(Overloaded):
            intake.offer("otlp_traces", b"y" * 8000, None)
        stream = asyncio.create_task(intake.offer_braked("als", b"z" * 8000, None, b"id"))
        await asyncio.sleep(0.1)
        assert not stream.done()
        await journal.wait()
        journal.batches[0][1].set_result(1)
        assert await outcome(first) == TAKEN
        second = await asyncio.wait_for(stream, 60)
        await journal.wait()
        journal.batches[1][1].set_result(1)
        assert await outcome(second) == TAKEN
        await intake.drain(1)

    asyncio.run(scenario())


def test_larger_than_the_room_passes_alone():
    """A body larger than the whole room is taken when nothing else waits."""

    async def scenario() -> None:
        intake = an_intake(ReadyJournal(), limit=1000)
        assert await outcome(intake.offer("otlp_traces", b"x" * 5000, None)) == TAKEN
        await intake.drain(1)

    asyncio.run(scenario())


def test_full_journal():
    """A full journal refuses exports before they cost anything, and brakes streams."""

    async def scenario() -> None:
        journal = ReadyJournal()
        journal.full = True
        intake = an_intake(journal)
        with pytest.raises(JournalFull):
            intake.offer("otlp_traces", b"x", None)
        stream = asyncio.create_task(intake.offer_braked("als", b"z", None, None))
        await asyncio.sleep(0.05)
        assert not stream.done()
        journal.full = False
        assert await outcome(await asyncio.wait_for(stream, 60)) == TAKEN
        await intake.drain(1)

    asyncio.run(scenario())


def test_drain():
    """Draining refuses what comes and waits for what is due."""

    async def scenario() -> None:
        journal = HeldJournal()
        intake = an_intake(journal)
        due = intake.offer("otlp_traces", b"x", None)
        await journal.wait()
        intake.close_door()
        with pytest.raises(Draining):
            intake.offer("otlp_traces", b"y", None)
        assert not await intake.drain(0.05)
        journal.batches[0][1].set_result(1)
        assert await intake.drain(5)
        assert await outcome(due) == TAKEN

    asyncio.run(scenario())


def test_sender_that_went_away():
    """A cancelled answer disturbs nobody, and its bytes leave the room."""

    async def scenario() -> None:
        journal = HeldJournal()
        intake = an_intake(journal)
        gone = intake.offer("otlp_traces", b"x", None)
        gone.cancel()
        await journal.wait()
        journal.batches[0][1].set_result(1)
        assert await intake.drain(5)
        assert intake.room.used == 0

    asyncio.run(scenario())


def test_digest():
    """The digest tells kinds, bodies and stream identities apart, and nothing else."""
    plain = digest_of("otlp_traces", Export(b"body", "10.0.0.1", 1))
    assert plain == digest_of("otlp_traces", Export(b"body", "10.0.0.2", 2))
    others = [
        digest_of("otlp_logs", Export(b"body", None, 1)),
        digest_of("otlp_traces", Export(b"body2", None, 1)),
        digest_of("als", Export(b"body", None, 1)),
        digest_of("als", Export(b"body", None, 1, b"node-a")),
        digest_of("als", Export(b"body", None, 1, b"node-b")),
    ]
    assert len({plain, *others}) == 6
    assert len(plain) == 32


def test_counted_once():
    """Received, refused, rejected and accepted are counted per source."""

    async def scenario() -> None:
        intake = an_intake(ReadyJournal())
        answers = [intake.offer("otlp_traces", body, None) for body in (b"a", b"bad", b"half")]
        answers.append(intake.offer("otlp_traces_json", b"b", None))
        await asyncio.gather(*map(outcome, answers))
        await intake.drain(1)
        series = {one["name"]: one["samples"] for one in intake.metrics.snapshot()}
        values = {name: [sample["value"] for sample in samples] for name, samples in series.items()}
        assert values["sidelight_received_exports_total"] == [4]
        assert values["sidelight_refused_exports_total"] == [1]
        assert values["sidelight_rejected_records_total"] == [2]
        assert values["sidelight_accepted_records_total"] == [3]
        refused = series["sidelight_refused_exports_total"][0]["labels"]
        assert refused == {"collector": "test", "source": "otlp_traces", "reason": "undecodable"}

    asyncio.run(scenario())


def test_rows_are_those_of_the_schema():
    """The batch carries the decoder's tables as they are."""

    async def scenario() -> None:
        journal = ReadyJournal()
        intake = an_intake(journal)
        await outcome(intake.offer("als", b"x", "10.1.2.3"))
        await intake.drain(1)
        table = journal.batches[0][0].tables["rejects"]
        assert isinstance(table, pa.Table)
        assert table.column("source").to_pylist() == ["10.1.2.3"]

    asyncio.run(scenario())
