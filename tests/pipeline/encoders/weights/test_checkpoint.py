"""Checkpoint files that would run code: nothing of them runs, and the command ends in a sentence."""

import json
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch.package.package_exporter import PackageExporter
from tvr.cli.main import run
from tvr.data.contracts.errors import WeightsError
from tvr.pipeline.encoders import clip
from tvr.pipeline.encoders.towers.frozen import weights_digest
from tvr.pipeline.encoders.weights.checkpoint import load_checkpoint

from ....fixtures.fuzz import cases

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.*:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning"
)

MODEL = "tiny-checkpoint"


@pytest.fixture(scope="module", autouse=True)
def model(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A model that is built in no time, known to open_clip."""
    vision = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}
    text = {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 1, "layers": 1}
    file = tmp_path_factory.mktemp("model") / f"{MODEL}.json"
    file.write_text(json.dumps({"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(file)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """What a file writes if it has its way."""
    return tmp_path / "was_run"


class Mischief:
    """A pickle that writes a file when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (Path.touch, (self.trace,))


def zipped(path: Path, trace: Path, **entries: bytes) -> None:
    """A file as ``torch.save`` lays it out, whose pickle is mischief."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("root/data.pkl", pickle.dumps(Mischief(trace), protocol=2))
        archive.writestr("root/version", "3\n")
        for name, content in entries.items():
            archive.writestr(f"root/{name.replace('__', '/')}", content)


def hidden_as_torchscript(path: Path, trace: Path) -> None:
    zipped(path, trace, **{"extra__constants.pkl": b"x"})


def named_as_torchscript(path: Path, trace: Path) -> None:
    zipped(path, trace, **{"constants.pkl": pickle.dumps(Mischief(trace), protocol=2)})


def saved(path: Path, trace: Path) -> None:
    torch.save({"state_dict": Mischief(trace)}, path)


def saved_as_once(path: Path, trace: Path) -> None:
    torch.save({"state_dict": Mischief(trace)}, path, _use_new_zipfile_serialization=False)


def pickled(path: Path, trace: Path) -> None:
    path.write_bytes(pickle.dumps(Mischief(trace), protocol=2))


def packaged(path: Path, trace: Path) -> None:
    with PackageExporter(str(path)) as exporter:
        exporter.save_source_string("evil", f"open({str(trace)!r}, 'w')")
        exporter.save_pickle("model", "model.pkl", {"a": 1})


def of_numpy(path: Path, trace: Path) -> None:
    save_numpy({"b": np.array([Mischief(trace)], dtype=object)}, path)


def save_numpy(weights: Mapping[str, Any], path: Path) -> None:
    """As big_vision publishes weights."""
    arrays: dict[str, Any] = {f"params/{name}": np.asarray(weight) for name, weight in weights.items()}
    with path.open("wb") as file:
        np.savez(file, **arrays)


FORGED: dict[str, Callable[[Path, Path], None]] = {
    "hidden as TorchScript": hidden_as_torchscript,
    "named as TorchScript": named_as_torchscript,
    "torch.save": saved,
    "torch.save of old": saved_as_once,
    "pickle": pickled,
    "torch.package": packaged,
    "numpy": of_numpy,
}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".npz", ".npy", ".safetensors"])
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path, trace: Path, forge: Callable[[Path, Path], None], suffix: str
) -> None:
    path = tmp_path / f"evil{suffix}"
    forge(path, trace)
    with pytest.raises(WeightsError, match=r"evil\.\w+ (does not hold weights of|is a TorchScript archive)"):
        clip.load(MODEL, str(path), device="cpu")
    assert not trace.exists()


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_code_in_a_checkpoint_that_is_asked_for_is_not_run(
    tmp_path: Path, trace: Path, forge: Callable[[Path, Path], None]
) -> None:
    """Python's, that is: a real TorchScript archive may do what its code says, and the message says so."""
    forge(tmp_path / "evil.pt", trace)
    with pytest.raises(WeightsError, match=f"does not hold weights of {MODEL}"):
        clip.load(MODEL, f"openai={tmp_path / 'evil.pt'}", device="cpu")
    assert not trace.exists()


@pytest.mark.filterwarnings("default:evil.pt does not say how it was trained")
def test_the_command_ends_in_a_sentence(
    tmp_path: Path, trace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden_as_torchscript(tmp_path / "evil.pt", trace)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    command = ["tvr", "extract", "--dataset", "folder", "--root", str(tmp_path / "videos"), "--model", "RN50"]
    monkeypatch.setattr("sys.argv", [*command, "--pretrained", str(tmp_path / "evil.pt"), "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == WeightsError.exit_code
    said = " ".join(capsys.readouterr().err.split())
    assert "warning: evil.pt does not say how it was trained" in said
    assert "does not hold weights of RN50: it asks for code (getattr), which was refused" in said
    assert not trace.exists()


class Archive(torch.nn.Module):
    """The layout of OpenAI's files: a TorchScript archive of half-precision weights and three numbers."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        for name, tensor in weights.items():
            *path, last = name.split(".")
            place: torch.nn.Module = self
            for part in path:
                if not hasattr(place, part):
                    place.add_module(part, torch.nn.Module())
                place = getattr(place, part)
            place.register_buffer(last, tensor.half())
        for number in ("input_resolution", "context_length", "vocab_size"):
            self.register_buffer(number, torch.tensor(7))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenAI has published weights of the small model as well."""
    record: dict[str, Any] = open_clip.get_pretrained_cfg("ViT-B-32", "openai")
    records = {"openai": record, "other": {**record, "url": "https://somewhere/other.pt"}}
    monkeypatch.setitem(vars(open_clip.pretrained)["_PRETRAINED"], MODEL, records)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return clip.load(MODEL, "random", device="cpu", precision="fp32").texts.model.state_dict()


@pytest.fixture
def scripted(tmp_path: Path, weights: dict[str, torch.Tensor]) -> Path:
    """A file as OpenAI published its weights, under the name of one that it did."""
    path = tmp_path / "ViT-B-32.pt"
    torch.jit.save(torch.jit.script(Archive(weights)), path)
    return path


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("is_cached", [False, True])
def test_openais_own_files_are_read_where_their_tag_asks(
    scripted: Path, weights: dict[str, torch.Tensor], is_cached: bool
) -> None:
    asked = "openai" if is_cached else f"openai={scripted}"
    encoder = clip.load(MODEL, asked, device="cpu", precision="fp32", cache_dir=scripted.parent)
    assert encoder.identity.activation == "quick_gelu"
    assert encoder.identity.pretrained == ("openai" if is_cached else "ViT-B-32.pt")
    rounded = {name: tensor.half().float() for name, tensor in weights.items()}
    assert encoder.identity.weights_digest == weights_digest(rounded)


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("tag", ["", "other="])
def test_a_torchscript_archive_that_was_not_asked_for_fails(scripted: Path, tag: str) -> None:
    with pytest.raises(
        WeightsError,
        match=rf"to load it is to run it.*: --pretrained openai={scripted}\. Or save its state_dict",
    ):
        clip.load(MODEL, f"{tag}{scripted}", device="cpu")


def test_a_torchscript_archive_of_a_model_without_such_a_tag_fails(scripted: Path) -> None:
    with pytest.raises(
        WeightsError, match=r"to load it is to run it.*Only weights are loaded: save its"
    ) as caught:
        clip.load(MODEL, str(scripted), device="cpu")
    assert "--pretrained openai" not in str(caught.value)


class Program(torch.nn.Module):
    """TorchScript that writes a file when it is loaded."""

    def __init__(self, trace: str) -> None:
        super().__init__()
        self.trace = trace

    @torch.jit.export
    def __getstate__(self):
        return self.trace, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.trace = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), state[0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_loading_torchscript_does_run_it(tmp_path: Path, trace: Path) -> None:
    """Why it has to be asked for. Should torch ever confine it, the messages warn of too much."""
    torch.jit.save(torch.jit.script(Program(str(trace))), tmp_path / "program.pt")
    with pytest.raises(WeightsError, match="to load it is to run it"):
        clip.load(MODEL, str(tmp_path / "program.pt"), device="cpu")
    assert not trace.exists()
    torch.jit.load(tmp_path / "program.pt")
    assert trace.exists()


@pytest.mark.filterwarnings(
    "ignore:Exception ignored", "ignore:unclosed file"
)  # numpy's, of a damaged archive
@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".npz"])
def test_mutated_checkpoints_are_errors(tmp_path: Path, suffix: str) -> None:
    """Any changed bytes: read, or a sentence."""
    model: Any = open_clip.create_model(MODEL, load_weights=False)
    path, weights = tmp_path / f"mutated{suffix}", model.state_dict()
    {".safetensors": save_file, ".pt": torch.save, ".npz": save_numpy}[suffix](weights, path)
    whole, dice = path.read_bytes(), np.random.default_rng(3)
    refused = 0
    for _ in range(cases(400)):
        path.write_bytes(mutated(whole, dice))
        try:
            load_checkpoint(model, path, is_scripted=False, name=MODEL)
        except WeightsError:
            refused += 1
    assert refused


def mutated(whole: bytes, dice: np.random.Generator) -> bytes:
    """A file that is cut off, or has a few other bytes, mostly where its structure is."""
    if dice.random() < 0.2:
        return whole[: dice.integers(len(whole))]
    changed = bytearray(whole)
    for _ in range(dice.integers(1, 6)):
        near = min(len(whole), 3000)
        place = dice.choice(
            [dice.integers(near), len(whole) - 1 - dice.integers(near), dice.integers(len(whole))]
        )
        changed[place] = dice.integers(256)
    return bytes(changed)
