"""Which encoder a user asked for, before it is loaded: it travels to other processes and machines."""

from dataclasses import dataclass, replace
from pathlib import Path

from .encoders.base import Encoder


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """The arguments of ``encoders.clip.load``, and whether its image tower is compiled."""

    model: str
    pretrained: str | None = None
    device: str = "auto"
    precision: str = "auto"
    compiled: bool = False

    def load(self) -> Encoder:
        """The encoder with its weights."""
        from .encoders import clip

        encoder = clip.load(self.model, self.pretrained, device=self.device, precision=self.precision)
        return clip.compiled(encoder) if self.compiled else encoder

    def for_any_folder(self) -> "EncoderChoice":
        """The same, however it is that a worker was started."""
        return replace(self, pretrained=for_any_folder(self.pretrained))

    def on_own_gpu(self, worker: str) -> "EncoderChoice":
        """The same for one of the workers 0, 1, ... of a machine, each of which sees all its GPUs."""
        import torch

        gpus = torch.cuda.device_count()
        if self.device not in ("auto", "cuda") or gpus < 2 or not worker.isdecimal():
            return self
        return replace(self, device=f"cuda:{int(worker) % gpus}")


def for_any_folder(pretrained: str | None) -> str | None:
    """The weights as they can be named from any folder: a checkpoint file by its absolute path."""
    if pretrained is None:
        return None
    tag, equals, file = pretrained.rpartition("=")
    path = Path(file).expanduser()
    return f"{tag}{equals}{path.absolute()}" if path.is_file() else pretrained
