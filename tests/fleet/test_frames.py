"""The law of the frames: whatever happens to the stream, an answer is the one that was given, or it is not whole."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardkeep.core.facts import Answer, Question
from wardkeep.fleet.collector import compose
from wardkeep.fleet.frames import FrameReader

NONCE = "0123456789abcdef" * 2
QUESTIONS = [
    Question("text", "echo one; echo two"),
    Question("binary", r"printf '\000\n\377\nend 0\n'"),
    Question("failing", "echo sorry >&2; exit 1"),
    Question("silent", ":"),
    Question("forger", r"printf 'answer 00 0\nid=text exit=0\n'; echo 'done 0 6'"),
    Question("unended", "printf 'no line break'"),
]


def recorded_run() -> bytes:
    return subprocess.run(
        ["/bin/sh", "-s"], input=compose(QUESTIONS, NONCE), stdout=subprocess.PIPE, check=True
    ).stdout


STREAM = recorded_run()


def read(
    pieces: Iterable[bytes], questions: list[Question] = QUESTIONS
) -> tuple[dict[str, Answer], FrameReader]:
    reader = FrameReader(questions, NONCE)
    for piece in pieces:
        reader.push(piece)
    return reader.answers(), reader


GOOD, _ = read([STREAM])


def same_or_not_whole(answers: dict[str, Answer]) -> int:
    """How many are whole; each of them must be what was really said."""
    assert answers.keys() == GOOD.keys()
    for name, answer in answers.items():
        assert answer == GOOD[name] if answer.whole else answer.problem
    return sum(answer.whole for answer in answers.values())


def test_the_undamaged_stream_is_whole() -> None:
    assert same_or_not_whole(GOOD) == len(QUESTIONS)
    assert GOOD["binary"].stdout == b"\0\n\xff\nend 0\n"
    assert (GOOD["failing"].exit, GOOD["failing"].stderr) == (1, b"sorry\n")


def test_cut_at_every_byte() -> None:
    whole = [same_or_not_whole(read([STREAM[:cut]])[0]) for cut in range(len(STREAM))]
    assert whole == sorted(whole)
    assert (whole[0], whole[-1]) == (0, len(QUESTIONS))
    assert set(whole) == set(range(len(QUESTIONS) + 1))  # what came before the cut stays good


def test_one_byte_flipped_lost_or_added_at_every_place() -> None:
    spared = []
    for at in range(len(STREAM)):
        for other in (
            bytes([STREAM[at] ^ 1]),
            bytes([STREAM[at] ^ 0x20]),
            b"\n",
            b"0",
            b"",
            STREAM[at : at + 1] * 2,
        ):
            answers, reader = read([STREAM[:at] + other + STREAM[at + 1 :]])
            whole = same_or_not_whole(answers)
            if not reader.problem:
                spared.append(whole)
    # One byte never costs more than one answer, unless it was the run's own header.
    assert min(spared) == len(QUESTIONS) - 1


@given(st.data())
@settings(max_examples=200)
def test_any_damage_in_any_pieces(data: st.DataObject) -> None:
    stream = bytearray(STREAM)
    for _ in range(data.draw(st.integers(0, 4))):
        start = data.draw(st.integers(0, len(stream)))
        stream[start : start + data.draw(st.integers(0, 300))] = data.draw(st.binary(max_size=40))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [bytes(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    same_or_not_whole(read(pieces)[0])


@given(st.integers(1, 50))
@settings(max_examples=30)
def test_pieces_of_any_size_say_the_same(size: int) -> None:
    assert read(STREAM[i : i + size] for i in range(0, len(STREAM), size))[0] == GOOD


def framed(
    question: str, told: str, out: bytes = b"", err: bytes = b"", *, end: bytes = b"\nend %s\n"
) -> bytes:
    """A frame with true digests, whatever it tells."""
    meta = f"id={question} {told}\n".encode()
    marks = " ".join(hashlib.sha256(part).hexdigest() for part in (out, err))
    mark = NONCE.encode()
    return (
        f"answer {NONCE} {marks}\n".encode() + meta + meta + out + err + (end % mark if b"%s" in end else end)
    )


HEADER = STREAM[: STREAM.index(b"answer ")]
DONE = STREAM[STREAM.rindex(b"done ") :]


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (framed("text", "exit=0 ended=0 from=1 to=2 out=1 err=0", b"x"), ""),
        (
            framed("text", "exit=0 ended=0 from=1 to=2 out=1 err=0", b"x", end=b"\nend 0\n"),
            "the end mark is missing",
        ),
        (
            framed("text", "exit=0 ended=1 from=1 to=2 out=1 err=0", b"x"),
            "could not run or keep it (status 1)",
        ),
        (
            framed("text", "exit=- ended=0 from=1 to=2 out=1 err=0", b"x"),
            "could not run or keep it (status 0)",
        ),
        (framed("text", "exit=0 ended=124 from=1 to=2 out=1 err=0", b"x"), "did not end within 20 s"),
        (
            framed("text", "exit=- ended=127 from=1 to=2 out=0 err=0"),
            "`timeout` (coreutils) is not installed",
        ),
        (framed("text", "exit=0 ended=0 from=1 to=2 out=99999999999 err=0", b"x"), "lost on the way"),
        (framed("text", "exit=0 ended=0 from=1 to=2 out=2 err=0", b"x"), "garbled on the way"),
        (framed("text", "exit=0 ended=0 from=1 to=2 out=1", b"x"), "lost on the way"),
        (framed("other", "exit=0 ended=0 from=1 to=2 out=1 err=0", b"x"), "lost on the way"),
    ],
)
def test_what_a_frame_tells_is_weighed_and_the_next_one_is_read(frame: bytes, problem: str) -> None:
    good = framed("silent", "exit=0 ended=0 from=1 to=2 out=0 err=0")
    answers, reader = read([HEADER + frame + good + DONE])
    assert reader.done
    assert problem in answers["text"].problem
    assert answers["text"].whole is (problem == "")
    assert answers["silent"].whole


def test_frames_before_the_runs_header_are_not_believed() -> None:
    """Without the header nobody knows whether root answered."""
    answers, _ = read([framed("text", "exit=0 ended=0 from=1 to=2 out=1 err=0", b"x") + HEADER + DONE])
    assert not answers["text"].whole


def test_a_stream_of_another_run_is_refused() -> None:
    answers, reader = read([STREAM.replace(NONCE.encode(), b"f" * 32)])
    assert not any(answer.whole for answer in answers.values())
    assert "did not start" in reader.problem


def test_the_first_of_two_answers_counts_and_a_second_header_is_ignored() -> None:
    forged = STREAM.replace(b"uid=0", b"uid=7")
    assert read([STREAM[: STREAM.rindex(b"done ")] + forged])[0] == GOOD


@pytest.mark.parametrize("garbage", [b"\xff", b"\n", b"answer \n", b"wardkeep " + b"0" * 32 + b" "])
def test_garbage_costs_no_memory_and_is_cut_early_when_nothing_has_begun(garbage: bytes) -> None:
    piece = (garbage * 100_000)[:100_000]
    reader = FrameReader(QUESTIONS, NONCE)
    for count in range(11):
        assert reader.overflow is (count == 11)
        reader.push(piece)
        assert len(reader._buffer) <= 4096
    assert reader.overflow
    begun = FrameReader(QUESTIONS, NONCE)
    begun.push(HEADER)
    for _ in range(20):  # an answer whose frame is damaged may be long: the next ones are still wanted
        begun.push(piece)
        assert len(begun._buffer) <= 4096
    assert not begun.overflow
    begun.push(STREAM[len(HEADER) :])
    assert begun.answers() == GOOD


def test_a_run_that_comes_in_one_great_piece_is_read() -> None:
    big = b"x" * (3 << 20)
    frame = framed("text", f"exit=0 ended=0 from=1 to=2 out={len(big)} err=0", big)
    answers, reader = read([HEADER + frame + DONE])
    assert (answers["text"].whole, reader.done) == (True, True)


def test_more_than_all_questions_may_say_is_overflow() -> None:
    questions = [Question(q.id, q.script, limit=1000) for q in QUESTIONS]
    reader = FrameReader(questions, NONCE)
    reader.push(HEADER)
    for _ in range(200):
        reader.push(b"x" * 10_000)
    assert reader.overflow
    assert len(reader._buffer) <= 4096


def test_a_claimed_size_beyond_the_limit_is_not_waited_for() -> None:
    small = [Question(q.id, q.script, limit=5) for q in QUESTIONS]
    answers, reader = read([STREAM], small)
    assert [name for name, answer in answers.items() if answer.whole] == ["failing", "silent"]
    assert reader.done


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (b"\nmissing " + NONCE.encode() + b" timeout sha256sum\n", "timeout sha256sum missing"),
        (b"This account is not available.\n", "it said: This account is not available."),
        (b"", "did not start"),
        (b"\x1b[2Jhello\xff\0there\n", "it said: [2Jhello there"),
        (b"\x9b\0\n\xff", "it said nothing that is text"),
    ],
)
def test_a_run_that_did_not_start_says_why(header: bytes, says: str) -> None:
    answers, reader = read([header])
    assert says in reader.problem
    assert all(says in answer.problem and not answer.whole for answer in answers.values())


def test_without_root_only_the_answers_that_need_none_are_whole() -> None:
    questions = [Question("secret", "cat /etc/shadow"), Question("open", "id -u", root=False)]
    stream = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/bin/sh", "-s"],
        input=compose(questions, NONCE), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
    ).stdout  # fmt: skip
    answers, reader = read([stream], questions)
    assert reader.problem == ""
    assert reader.run["sudo"] == "refused"
    assert (answers["open"].whole, answers["open"].stdout) == (True, b"65534\n")
    assert answers["secret"].problem == "needs root, and was asked as uid 65534: `sudo -n` was refused"
