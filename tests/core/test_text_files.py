"""Files that a person names: read whole, or one line that says why not and what to do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wardkeep.core.errors import BadInput
from wardkeep.core.text_files import parse_toml, read_text_file


def test_a_file_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbfk = 'gr\xc3\xbcn'\n")
    assert parse_toml(read_text_file(path), "a.toml") == {"k": "grün"}


def test_a_file_that_is_not_there_is_what_the_caller_says(tmp_path: Path) -> None:
    assert read_text_file(tmp_path / "none", absent="") == ""
    with pytest.raises(BadInput, match=r"none: there is no such file\. Check its name"):
        read_text_file(tmp_path / "none")


def test_what_cannot_be_read_says_why_and_what_to_do(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(b"good\xff")
    for path, largest, why in [
        (tmp_path, 9, "is a folder, not a file. Name the file."),
        (text / "below", 9, "cannot be read (Not a directory). Check its name and rights."),
        (text, 9, "is not UTF-8 (byte 4). Save it as UTF-8 text."),
        (text, 4, "is larger than 0 MiB. Split it."),
    ]:
        with pytest.raises(BadInput) as caught:
            read_text_file(path, absent="", largest=largest)
        assert caught.value.line() == f"{path}: {why}"


@pytest.mark.parametrize(
    ("text", "line"), [("a = 1\n[b\nc = 2\n", 2), ("a = 1\nb = [1,\n", 2), ("a = 1\na = 2\n", 2)]
)
def test_what_is_no_toml_has_its_line(text: str, line: int) -> None:
    with pytest.raises(BadInput) as caught:
        parse_toml(text, "x.toml")
    told = caught.value.line()
    assert told.startswith(f"x.toml:{line}: no valid TOML: ")
    assert told.endswith(". Mend that line.")
    assert "(at" not in told


def test_what_was_named_may_be_a_pipe_and_what_stands_in_its_place_may_not(tmp_path: Path) -> None:
    pipe, writer = os.pipe()
    with open(writer, "wb") as into, open(pipe, "rb"):
        into.write(b"one line\n")
        into.close()
        assert read_text_file(Path(f"/dev/fd/{pipe}")) == "one line\n"
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInput, match="no regular file"):
        read_text_file(tmp_path / "pipe", absent="")
