"""What a type checker knows of ``import tvr``: every public name, and what each call gives."""

import json
import subprocess
import sys
from pathlib import Path

import tvr

ROOT = Path(__file__).resolve().parents[2]
USE = """
import tvr

store = tvr.extract("didemo", root="data/didemo", model="ViT-B-32")
run = tvr.train(store, head="hcmi", epochs=5, seed=0, set={"clusters": 3})
reveal_type(store.frames("video7010"))
reveal_type(run.score)
reveal_type(tvr.evaluate(run, split="test").t2v.recall(1))
reveal_type([hit.seconds for hit in tvr.search(run, "a dog", top_k=5)])
"""


def checked(code: str, folder: Path) -> list[str]:
    """What pyright says of code that imports tvr, which lies in a folder as the wheel has it."""
    package = folder / "tvr"
    package.mkdir()
    for source in [
        *(ROOT / "api").iterdir(),
        *(ROOT / name for name in ("cli", "data", "heads", "pipeline")),
    ]:
        (package / source.name).symlink_to(source)
    (folder / "used.py").write_text(code)
    (folder / "pyrightconfig.json").write_text('{"include": ["used.py"], "typeCheckingMode": "strict"}')
    line = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
    return [f"{one['severity']}: {one['message']}" for one in json.loads(done.stdout)["generalDiagnostics"]]


def test_every_public_name_is_known(tmp_path: Path) -> None:
    names = "\n".join(f"print(tvr.{name})" for name in tvr.__all__)
    wrong = "tvr.train(store, epoch=3)\ntvr.extrct\n"
    said = checked(f"{USE}\n{names}\n{wrong}", tmp_path)
    assert [line.partition(" is ")[2] for line in said if line.startswith("information")] == [
        '"ndarray[tuple[Any, ...], dtype[Any]]"',
        '"float | None"',
        '"float"',
        '"list[float]"',
    ], said
    assert [line for line in said if line.startswith("error")] == [
        'error: No parameter named "epoch"',
        'error: Type of "extrct" is unknown',
        'error: "extrct" is not a known attribute of module "tvr"',
    ]
