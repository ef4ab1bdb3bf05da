"""Annotation files as people have them: byte order marks, CRLF, cut-off downloads, other encodings."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tvr.data.annotation_files import reading
from tvr.data.contracts.errors import DataError


def written(folder: Path, name: str, data: bytes) -> reading.AnnotationFile:
    (folder / name).write_bytes(data)
    return reading.read_annotation(folder / name)


@pytest.mark.parametrize("data", [b"a\nb\n", b"a\r\nb\r\n", b"\xef\xbb\xbfa\r\nb", b"\n a \n\n\tb"])
def test_id_list_does_not_care_for_marks_and_line_ends(tmp_path: Path, data: bytes) -> None:
    assert reading.id_list(written(tmp_path, "list.txt", data)) == ["a", "b"]


def test_id_list_fails_on_a_duplicate(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"list\.txt: line 3: duplicate id 'a', first on line 1"):
        reading.id_list(written(tmp_path, "list.txt", b"a\nb\na\n"))


def test_id_list_fails_where_it_is_empty(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no id"):
        reading.id_list(written(tmp_path, "list.txt", b"\n\n"))


def test_digest_is_of_the_bytes_on_disk(tmp_path: Path) -> None:
    packed = gzip.compress(b"caff\xc3\xa8")
    file = written(tmp_path, "x.json.gz", packed)
    assert (file.text, file.sha256) == ("caffè", hashlib.sha256(packed).hexdigest())


@pytest.mark.parametrize(
    "damage", [lambda packed: packed[:-9], lambda packed: packed[:12] + b"?" + packed[13:]]
)
def test_reading_fails_on_broken_gzip(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(DataError, match=r"x\.json\.gz: cannot be read"):
        written(tmp_path, "x.json.gz", damage(gzip.compress(bytes(range(256)))))


def test_reading_fails_on_other_encodings_and_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2: .*must be UTF-8, found byte 0xe9.*iconv -f CP1252"):
        written(tmp_path, "list.txt", "un\ncafé\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"it looks like UTF-16.*iconv -f UTF-16"):
        written(tmp_path, "list.txt", "a\n".encode("utf-16"))


def test_reading_fails_where_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        reading.read_annotation(tmp_path / "absent.json")


def test_json_value_fails_with_line_and_column(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 2, column 1: not JSON.*cut off"):
        reading.json_value(written(tmp_path, "x.json", b'[{"a": 1},\n'))


def test_json_records_fail_on_another_shape(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must hold a JSON array, found an object"):
        list(reading.json_records(written(tmp_path, "x.json", b"{}")))
    with pytest.raises(DataError, match="entry 1: must be a JSON object, found a number"):
        list(reading.json_records(written(tmp_path, "x.json", b"[{}, 3]")))


def test_json_object_fails_on_a_key_that_json_would_let_pass_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.json: duplicate key 'v_1'"):
        reading.json_object(written(tmp_path, "x.json", b'{"v_1": {}, "v_2": {}, "v_1": {}}'))


def test_json_lines_fail_with_the_line(tmp_path: Path) -> None:
    file = written(tmp_path, "x.jsonl", b'{"a": 1}\r\n\r\n{"a": \r\n')
    with pytest.raises(DataError, match=r"x\.jsonl: line 3: not JSON"):
        list(reading.json_lines(file))


def test_csv_records_need_their_columns(tmp_path: Path) -> None:
    file = written(tmp_path, "x.csv", b"video,sentence\r\nv,\xc3\xa9t\xc3\xa9")
    assert list(reading.csv_records(file, ["video"])) == [(2, {"video": "v", "sentence": "été"})]
    with pytest.raises(DataError, match="line 1: needs the columns video_id; found video, sentence"):
        list(reading.csv_records(file, ["video_id"]))


def test_csv_records_fail_on_a_ragged_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 3: has 3 fields where the header has 2"):
        list(reading.csv_records(written(tmp_path, "x.csv", b"a,b\n1,2\n1,2,3\n"), ["a"]))


def test_csv_records_fail_on_an_open_quote(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x\.csv: line \d: not CSV"):
        list(reading.csv_records(written(tmp_path, "x.csv", b'a,b\n1,"2\n'), ["a"]))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({}, "has no key 'text'; found none"),
        ({"txt": "x"}, "has no key 'text'; found 'txt'"),
        ({"text": 3}, "'text' must be a string, found a number"),
        ({"text": None}, "'text' must be a string, found null"),
        ({"text": "a\0b"}, "NUL character"),
        ({"text": json.loads('"\\ud83d"')}, "half of a surrogate pair"),
    ],
)
def test_text_at_fails(record: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=f"entry 4: .*{message}"):
        reading.text_at(record, "text", "entry 4")


def test_texts_at_keeps_texts_as_they_are() -> None:
    texts = ["  A\tcat ", "ネコ 🐈", ""]
    assert reading.texts_at({"text": texts}, "text", "here") == texts


@pytest.mark.parametrize("value", ["one", [1], [["a"]], {"a": "b"}, True])
def test_texts_at_fails(value: object) -> None:
    with pytest.raises(DataError, match="'text' must be a list of strings, found"):
        reading.texts_at({"text": value}, "text", "here")
