"""The memory that all pairs of four hundred texts and videos take, measured from outside, in a process of its own.

The width of a feature is small: it costs time, but none of the memory that pairs take.
"""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, torch
from pathlib import Path
from tvr.data.contracts.plug_ins import load_plug_in
from tvr.heads.base import FeatureShape, TextFeatures, VideoFeatures, build_head
from tvr.heads.evaluation.blockwise import similarity_in_blocks

torch.set_num_threads(1)
name = sys.argv[1]
shape = FeatureShape(dim=32, num_frames=64, num_words=32)
head = build_head(name, load_plug_in("tvr.heads", name).Config(layers=1), shape).eval()

@torch.no_grad()
def encoded(encode, make):
    batches = [encode(make()) for _ in range(8)]
    return {key: torch.cat([batch[key] for batch in batches]) for key in batches[0]}

def texts():
    words = torch.randn(50, 32, 32)
    return TextFeatures(words, torch.ones(50, 32, dtype=torch.bool), words[:, -1])

def videos():
    return VideoFeatures(torch.randn(50, 64, 32), torch.ones(50, 64, dtype=torch.bool))

text, video = encoded(head.encode_text, texts), encoded(head.encode_video, videos)
scores = similarity_in_blocks(head, text, video)
assert scores.shape == (400, 400) and scores.isfinite().all()
# Not ru_maxrss: that of the process which started this one lives on in it.
peak = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
print(int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["xclip", "hcmi"])
def test_pairs_of_words_and_frames_are_never_in_memory_at_once(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    # Held at once they would be 1.3 GB; torch, the encoded items and a block take less than 0.7.
    assert int(done.stdout) < 900, f"{done.stdout} MB"
