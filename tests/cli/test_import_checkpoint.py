"""``tvr import-checkpoint`` as a user types it."""

import json
from pathlib import Path

import pytest
import torch
import typer
from tvr.cli.import_checkpoint import import_checkpoint
from tvr.data.contracts.errors import UsageError, WeightsError
from tvr.heads.base import FeatureShape, build_head
from tvr.heads.runs.import_checkpoint import published_config
from tvr.heads.runs.run_folder import load_run
from typer.testing import CliRunner

from ..fixtures.generated import generated_store

app = typer.Typer()
app.command()(import_checkpoint)


@pytest.fixture
def lstm(tmp_path: Path) -> list[str]:
    """Arguments that import CLIP4Clip's LSTM for a small store."""
    store = generated_store(tmp_path / "store")
    weights = {f"module.lstm_visual.{k}": v for k, v in torch.nn.LSTM(16, 16).state_dict().items()}
    torch.save(weights | {"module.clip.logit_scale": torch.zeros(())}, tmp_path / "pytorch_model.bin.4")
    return [
        str(tmp_path / "pytorch_model.bin.4"),
        *("--store", str(store), "--workspace", str(tmp_path / "work")),
    ]


def test_makes_a_run_as_published(lstm: list[str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, [*lstm, "--head", "seq_lstm"], catch_exceptions=False)
    assert "4 weights of the head; 0 that change no similarity and 1 of other parts" in done.output
    run = Path(done.output.split("next: tvr eval ")[1].strip())
    head, record = load_run(run)
    assert record.head_config == {"init": "random"} and run.is_relative_to(tmp_path / "work" / "runs")
    assert not list(head.named_parameters(recurse=False))


def test_json(lstm: list[str], tmp_path: Path) -> None:
    arguments = [*lstm, "--head", "seq_lstm", "--run", str(tmp_path / "mine"), "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    written = {"folder": str(tmp_path / "mine"), "weights": 4, "left": 1, "not_reproduced": None}
    assert json.loads(done.output) == written


def test_what_cannot_be_as_released_is_said(lstm: list[str], tmp_path: Path) -> None:
    pool = build_head("xpool", published_config("xpool"), FeatureShape(16, 9, 8))
    torch.save(xpool_names(pool.state_dict()), tmp_path / "xpool.pth")
    done = CliRunner().invoke(app, [str(tmp_path / "xpool.pth"), *lstm[1:], "--head", "xpool"])
    assert "not as released: X-Pool fills a video of too few frames up" in done.output
    run = Path(done.output.split("next: tvr eval ")[1].strip())
    assert load_run(run)[1].head_config["masked"]


def xpool_names(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As X-Pool's own checkpoints have them."""
    found: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        part, _, kind = name.rpartition(".")
        if part in ("query", "key", "value", "out"):
            part = f"cross_attn.{part[0] if part != 'out' else part}_proj"
        elif part == "linear":
            part = "linear_proj"
        found[f"pool_frames.{part.replace('norm_', 'layer_norm')}.{kind}"] = value
    return found


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--head", "seq_lstm", "--set", "init=zero"], WeightsError, "Missing in it: gate"),
        (["--head", "hcmi"], WeightsError, "no released checkpoint is known"),
        (["--head", "seq_lstn"], UsageError, "Did you mean 'seq_lstm'"),
        (["--head", "xclip"], WeightsError, "does not fit the head 'xclip'"),
    ],
)
def test_import_fails(lstm: list[str], arguments: list[str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        CliRunner().invoke(app, [*lstm, *arguments], catch_exceptions=False)
