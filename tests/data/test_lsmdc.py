"""LSMDC in its official format; the files themselves are under a signed agreement."""

from pathlib import Path

import pytest
from tvr.data import lsmdc
from tvr.data.contracts.errors import DataError

TRAIN, VAL, TEST = (lsmdc.FILES[name].name for name in ("train", "val", "test"))


def clip_id(number: int, film: str = "0001_American_Beauty") -> str:
    hours, minutes, seconds = number // 3600, number // 60 % 60, number % 60
    start = f"{hours:02}.{minutes:02}.{seconds:02}"
    return f"{film}_{start}.926-{start}.999"


def line(clip: str, sentence: str) -> str:
    return "\t".join([clip, "00.00.51.926", "00.00.54.129", "00.00.51.926", "00.00.54.129", sentence])


def lines(count: int, film: str) -> list[str]:
    return [line(clip_id(number, film), f"SOMEONE opens door {number}.") for number in range(count)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / TEST).write_text("\n".join(lines(1000, "1010_TITANIC")) + "\n")
    return tmp_path


def test_published_counts(root: Path) -> None:
    # Some clips of the training list stand there with more than one sentence.
    train = lines(101_046, "0001_American_Beauty")
    train += [line(clip_id(number), "SOMEONE turns.") for number in range(33)]
    (root / TRAIN).write_text("\n".join(train))
    (root / VAL).write_text("\n".join(lines(7_408, "3009_BATTLE_LOS_ANGELES")))
    dataset = lsmdc.load(root, lsmdc.Config())
    assert {name: len(split.video_ids) for name, split in dataset.splits.items()} == {
        "train": 101_046,
        "val": 7_408,
        "test": 1_000,
    }
    assert len(dataset.captions) == 101_079 + 7_408 + 1_000
    assert [caption.id for caption in dataset.captions[:2]] == [f"{clip_id(0)}#0", f"{clip_id(0)}#1"]
    assert (dataset.protocol, dataset.notes) == ("single", ())


def test_quotes_and_tabs_belong_to_the_sentence(root: Path) -> None:
    sentences = ['"Stop, SOMEONE says.', "He's\tgone", ' "a" , "b"', "café — naïve"]
    text = "\n".join(
        [*(line(clip_id(n), text) for n, text in enumerate(sentences)), *lines(996, "1010_TITANIC")]
    )
    (root / TEST).write_text(text)
    dataset = lsmdc.load(root, lsmdc.Config())
    assert [caption.text for caption in dataset.captions[:4]] == sentences


def test_crlf_and_byte_order_mark(root: Path) -> None:
    path = root / TEST
    plain = lsmdc.load(root, lsmdc.Config())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert lsmdc.load(root, lsmdc.Config()).captions == plain.captions


@pytest.mark.parametrize("folder", ["1010_TITANIC", ".", "videos", "test"])
def test_clips_are_found_in_the_folder_of_their_film_or_flat(root: Path, folder: str) -> None:
    clip = clip_id(7, "1010_TITANIC")
    (root / folder).mkdir(exist_ok=True)
    (root / folder / f"{clip}.avi").touch()
    dataset = lsmdc.load(root, lsmdc.Config())
    assert dataset.videos[clip].path == root / folder / f"{clip}.avi"
    assert str(dataset.coverage("test")) == "test: 1 of 1,000 videos found"


def test_another_number_of_sentences_fails_unless_it_is_wanted(root: Path) -> None:
    (root / TEST).write_text("\n".join(lines(997, "1010_TITANIC")))
    with pytest.raises(DataError, match=r"997 sentences where 1,000 are published.*own_lists=true"):
        lsmdc.load(root, lsmdc.Config())
    dataset = lsmdc.load(root, lsmdc.Config(own_lists=True))
    assert dataset.coverage("test").expected == 1000
    assert any("997 sentences" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("clip,start,end,start,end,sentence", "line 501: must have six columns between tabs .*found 1"),
        ("x\t1\t2\t3\t4", "line 501: .*found 5"),
        ("x\t1\t2\t3\t4\t ", "line 501: must have six columns"),
        ("\t1\t2\t3\t4\tSOMEONE sits.", "line 501: must have six columns"),
        (
            line(clip_id(3, "1010_TITANIC"), "SOMEONE sits."),
            "line 501: duplicate clip '1010_TITANIC_00.00.03",
        ),
    ],
)
def test_damaged_lines_fail(root: Path, bad: str, message: str) -> None:
    whole = lines(1000, "1010_TITANIC")
    (root / TEST).write_text("\n".join([*whole[:500], bad, *whole[500:]]))
    with pytest.raises(DataError, match=message):
        lsmdc.load(root, lsmdc.Config())


def test_other_encodings_fail_with_the_remedy(root: Path) -> None:
    whole = "\n".join([*lines(999, "1010_TITANIC"), line("x", "SOMEONE\u2019s café")])
    (root / TEST).write_bytes(whole.encode("cp1252"))
    with pytest.raises(DataError, match=r"line 1000: .*iconv -f CP1252"):
        lsmdc.load(root, lsmdc.Config())


def test_no_files_fail(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no split is complete(.|\n)*LSMDC16_annos_val\.csv(.|\n)*signed agreement"
    ):
        lsmdc.load(tmp_path, lsmdc.Config())
