import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from tvr.data.base import Video
from tvr.data.contracts.errors import UsageError
from tvr.heads import hcmi
from tvr.heads.evaluation.evaluate_runs import EvaluationOptions, Scored, Subject, open_run, scored_runs
from tvr.heads.evaluation.ranks import BothRanks
from tvr.heads.features.feature_set import FeatureSet, Origin
from tvr.heads.features.from_store import features_of
from tvr.heads.report.report import WORST, worst_misses, write_report
from tvr.heads.report.table import worse_than_untrained
from tvr.heads.report.thumbnails import thumbnails
from tvr.heads.runs.training_config import TrainingConfig
from tvr.heads.training.loop import train
from tvr.pipeline.store.reader import FeatureStore

from ...fixtures.generated import generated_store
from ...fixtures.hostile import HOSTILE_TEXTS

Made = tuple[Subject, Sequence[Scored]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("report")
    store = FeatureStore.open(generated_store(folder / "features"))
    sets = {name: features_of(store, name) for name in ("train", "val")}
    config = TrainingConfig(epochs=2, batch_size=16, device="cpu")
    head = hcmi.Config(layers=1, word_layers=0, clips=2, phrases=2)
    train("hcmi", head, sets, config, folder / "run")
    options = EvaluationOptions(device="cpu", normalise=("dsl",))
    return open_run(folder / "run", options), scored_runs([folder / "run"], options)


def clip(path: Path, colour: tuple[int, int, int]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(8):
            picture = np.broadcast_to(np.array(colour, np.uint8), (48, 64, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode())
    return path


def test_report_says_and_shows_everything(made: Made, tmp_path: Path) -> None:
    subject, scored = made
    miss = worst_misses(subject, scored[-1], 1)[0]
    videos = {miss.true_video: Video(miss.true_video, clip(tmp_path / "red.mp4", (200, 0, 0)))}
    page = write_report(subject, scored, videos).read_text(encoding="utf-8")
    markdown = (subject.run / "report.md").read_text(encoding="utf-8")
    for title in ("Figures", "Training", "Ranks", "Worst queries", "What the head looks at"):
        assert f"## {title}" in markdown
        assert f"<h2>{title}</h2>" in page
    assert "**random weights: the model was never trained, scores will be chance.**" in markdown
    assert "test: 20 of 20 videos and 40 texts scored" in markdown
    assert "hcmi + dsl" in markdown
    assert "Label denoising took" in markdown
    assert f"“{miss.text}” describes {miss.true_video}, found {miss.found_video}" in markdown
    assert re.search(r"Clips of “caption \d+”: [\d.]+-[\d.]+ s, [\d.]+-[\d.]+ s", markdown)
    pictures = re.findall(r"\]\((report/[^)]+\.png)\)", markdown)
    assert {"report/curves.png", "report/ranks.png", f"report/video-{miss.true_video}.png"} <= set(pictures)
    assert all((subject.run / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
    for description in re.findall(r"^!\[(.*)\]\(report/", markdown, re.MULTILINE):
        assert f"\n\n{description}\n" in markdown, "what stands in the brackets alone is not seen"
    assert page.count("data:image/png;base64,") == len(pictures)
    assert 'src="report' not in page


def test_a_part_of_the_split_and_few_candidates_show_in_a_report(made: Made, tmp_path: Path) -> None:
    """Struck and marked, in Markdown and in HTML, on real features that are none."""
    subject, scored = made
    run = Path(shutil.copytree(subject.run, tmp_path / "run", ignore=shutil.ignore_patterns("report*")))
    partial = [
        replace(
            some,
            run=run if some.run else None,
            evaluation=replace(some.evaluation, expected_videos=1004, ranks=among(15, some.evaluation.ranks)),
            facts=some.facts | {"model": "tvr-storyboard", "random_weights": False},
        )
        for some in scored
    ]
    page = write_report(replace(subject, run=run), partial).read_text(encoding="utf-8")
    markdown = (run / "report.md").read_text(encoding="utf-8")
    assert "**~~frozen encoder, plain scores~~ not comparable: 20 of 1,004 videos**" in markdown
    assert "<h3><s>frozen encoder, plain scores</s> not comparable: 20 of 1,004 videos</h3>" in page
    for text in (markdown.replace("\\", ""), page):
        assert re.search(r"\d\.\d\*", text)
        assert "* among fewer than 2K candidates" in text
        assert "knows drawings only: tvr-storyboard was trained on the generated shapes" in text
    whole = write_report(subject, scored).with_suffix(".md").read_text(encoding="utf-8")
    assert "not comparable" not in whole
    assert "fewer than 2K" not in whole


@pytest.mark.parametrize(("ahead", "is_said"), [(19, True), (0, False)])
def test_a_head_that_is_worse_than_no_training_is_told_in_its_report(
    made: Made, tmp_path: Path, ahead: int, *, is_said: bool
) -> None:
    subject, scored = made
    run = Path(shutil.copytree(subject.run, tmp_path / "run", ignore=shutil.ignore_patterns("report*")))
    own = next(some for some in scored if some.run)
    both = own.evaluation.ranks
    ways = {way: getattr(both, way) for way in ("t2v", "v2t")}
    same = {way: replace(ranks, ahead=np.full_like(ranks.ahead, ahead)) for way, ranks in ways.items()}
    ranked = replace(own, run=run, evaluation=replace(own.evaluation, ranks=replace(both, **same)))
    others = [some for some in scored if some.run is None]
    page = write_report(replace(subject, run=run), [*others, ranked]).read_text(encoding="utf-8")
    markdown = (run / "report.md").read_text(encoding="utf-8").replace("\\", "")
    (said, *_) = worse_than_untrained([*others, ranked]) or ["is worse here than zero-shot mean pooling"]
    assert [said in text for text in (page, markdown)] == [is_said, is_said]


def among(candidates: int, ranks: BothRanks) -> BothRanks:
    """The same ranks, as if there had been so many to choose from."""
    return replace(
        ranks,
        **{
            name: replace(getattr(ranks, name), candidates=candidates)
            for name in ("t2v", "v2t", "v2t_any_caption")
        },
    )


def test_report_fails_where_its_folder_is_a_link(made: Made, tmp_path: Path) -> None:
    """As a run of somebody else may hold one, to pictures of one's own."""
    subject, scored = made
    (tmp_path / "run").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "run" / "report").symlink_to(tmp_path / "pictures")
    with pytest.raises(UsageError, match="report is a link"):
        write_report(replace(subject, run=tmp_path / "run"), scored)
    assert not any((tmp_path / "pictures").iterdir())


def test_report_without_videos_and_without_metrics(made: Made, tmp_path: Path) -> None:
    subject, _ = made
    bare = Path(shutil.copytree(subject.run, tmp_path / "run"))
    (bare / "metrics.jsonl").unlink()
    options = EvaluationOptions(device="cpu", store=subject.store.folder)
    write_report(open_run(bare, options), scored_runs([bare], options))
    markdown = (bare / "report.md").read_text(encoding="utf-8")
    assert "## Training" not in markdown
    assert "report/video-" not in markdown
    assert "## Worst queries" in markdown


def test_worst_queries_are_the_last_ranked(made: Made) -> None:
    subject, scored = made
    own = scored[-1]
    misses = worst_misses(subject, own, 5)
    ranks = own.evaluation.ranks.t2v.ranks
    assert [miss.rank for miss in misses] == sorted(ranks, reverse=True)[:5]
    assert all(miss.found_video != miss.true_video for miss in misses)


def test_thumbnails_are_of_the_video(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    videos = {
        "red": Video("red", clip(tmp_path / "red.mp4", (220, 20, 20))),
        "broken": Video("broken", tmp_path / "broken.mp4"),
        "missing": Video("missing", None),
    }
    found = thumbnails(videos, ["red", "broken", "missing", "unknown", "red"])
    assert list(found) == ["red"]
    assert found["red"].shape == (4, 90, 120, 3)
    middle = found["red"][:, 40:50, 50:70].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(middle, (220, 20, 20), atol=12)


def test_a_report_of_hostile_names_and_captions(made: Made, tmp_path: Path) -> None:
    """Ids that share a name once sanitised, that no file can be called, and texts that are markup."""
    subject, scored = made
    run = Path(shutil.copytree(subject.run, tmp_path / "run", ignore=shutil.ignore_patterns("report*")))
    store, ids = subject.store, list(subject.store.splits["test"])
    hostile = dict(zip(ids, ["a/b", "a_b", "A_b", "x" * 300, "y" * 300, "..", *HOSTILE_TEXTS], strict=False))
    rows, texts = store.videos(ids), store.texts(ids)
    captions = [HOSTILE_TEXTS[i % len(HOSTILE_TEXTS)] for i in range(len(texts.texts))]
    features = FeatureSet(
        replace(rows, ids=tuple(hostile[i] for i in rows.ids)),
        replace(texts, video_ids=tuple(hostile[i] for i in texts.video_ids), texts=tuple(captions)),
        Origin(split="test", protocol="multi"),
    )
    red = clip(tmp_path / "red.mp4", (200, 0, 0))
    videos = {name: Video(name, red) for name in hostile.values()}
    renamed = [replace(some, run=run if some.run else None, name="a|b\n`c`") for some in scored]
    write_report(replace(subject, run=run, features=features), renamed, videos)
    own = worst_misses(replace(subject, run=run, features=features), renamed[-1], WORST)
    shown = {video for miss in own for video in (miss.true_video, miss.found_video)}
    assert len(list((run / "report").glob("video-*.png"))) == len(shown)
    text = (run / "report.md").read_text(encoding="utf-8")
    widths = {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {11}
    assert "<script>" not in (run / "report.html").read_text(encoding="utf-8")
