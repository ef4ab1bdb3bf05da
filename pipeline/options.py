"""What a user can choose of stage one: data set, encoder, sampling, sizes, what to do about failures."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args

from ..data.base import Preset
from ..data.contracts.errors import MissingWeightsError, UsageError, check_name
from ..data.contracts.identity import FileDigest
from ..data.contracts.numbers import Count, Positive, as_option, check_numbers
from ..data.contracts.plug_ins import plug_in_names
from .decoders.base import DEFAULT_DECODER
from .encoders.base import Encoder, load_encoder
from .machine import usable_cores
from .preprocessing import DEFAULT_PIXELS, Pixels, Resize, check_resize, usual_resize
from .sampling import Policy, Sampling
from .store.patches import PatchFormat

TextPolicy = Literal["truncate", "sentences"]

ON_ERROR = ("skip", "fail")

RETRIED = ("failed", "partial")
"""Statuses of videos that another attempt may better."""

UNTRUSTED, CHANGED = "untrusted", "changed"
"""In place of a status: videos whose files were read by older rules, and would be read otherwise now; videos whose
files are other ones than those whose features are stored."""

MAX_FRAMES = 512
"""The cap of the fps policy unless another is asked for: 8.5 minutes at one frame a second."""


@dataclass(frozen=True, slots=True)
class ExtractionOptions:
    """What a user can choose of stage one beside data set and encoder."""

    sampling: Sampling
    is_sampling_open: bool = False
    """Whether nobody asked for this sampling: a store that was begun with what it was before goes on with that."""
    max_seconds: Positive | None = None
    """Only the first seconds of each video are used; None means all of it."""
    pixels: Pixels | None = None
    """square: frames have the proportions in which a player shows them. stored: those of their rows and columns.
    None: as the store has them, square in a new one."""
    resize: Resize | None = None
    """How frames are resampled to the size of the model's input. None: as the store has it, ``usual_resize`` in a new
    one."""
    decoder: str | None = None
    """None: as the store has it, ``pyav`` in a new one."""
    videos_per_shard: Count | None = None
    """None: as the store has them; in a new one, as ``plan.usual_videos_per_shard`` has it."""
    texts_per_shard: Count = 4096
    frames_per_batch: Count = 64
    """Frames the encoder sees at once. Part of a store's identity: another batch size rounds differently."""
    limit: int | None = None
    """Only so many videos, taken in turn from every split; None means all."""
    text_policy: TextPolicy = "truncate"
    """truncate: a text ends with the encoder's context. sentences: one that is longer is encoded sentence by
    sentence."""
    patches_dtype: PatchFormat | None = None
    """Number format of the patches of each frame, which are kept as well; None: they are not."""
    num_children: Count | None = None
    """Decoding processes; None: one for each core that may be used. Changes no feature."""
    retry: str | None = None
    """``failed`` or ``failed:<part of a reason>``: extract the shards that hold such videos again; ``untrusted`` (also
    with a part of a reason) or ``changed``: extract such videos again, and nothing else of their shards."""
    only: frozenset[str] | None = None
    """Names of shards to extract whether they are there or not; None means those that are not."""
    request: "Request | None" = None
    """Written into the store, so that it can be repaired."""
    on_error: str = "skip"
    """``skip``: a video that fails becomes a row with a reason; ``fail``: it ends the run."""
    file_digest: FileDigest = "ends"
    """Of what of a file the store keeps a digest. With ``whole``, every byte of those that are there is compared."""

    @property
    def retried(self) -> str:
        """What of ``retry`` comes before the part of a reason: a status, ``untrusted``, ``changed`` or nothing."""
        return (self.retry or "").partition(":")[0]

    @property
    def retries_rows(self) -> bool:
        """Whether ``retry`` is for some videos alone, and the others of their shards are taken over."""
        return self.retried in (UNTRUSTED, CHANGED)

    @property
    def decoding_processes(self) -> int:
        """As many as were asked for, or as this process has cores."""
        return self.num_children or len(usable_cores())

    @property
    def chosen_pixels(self) -> Pixels:
        """As was asked for, or as in a new store."""
        return self.pixels or DEFAULT_PIXELS

    @property
    def chosen_resize(self) -> Resize:
        """As was asked for, or as in a new store."""
        return self.resize or usual_resize()

    @property
    def chosen_decoder(self) -> str:
        """As was asked for, or as in a new store."""
        return self.decoder or DEFAULT_DECODER

    def __post_init__(self) -> None:
        self._check_numbers()
        for kind, value, known in (
            ("--decoder", self.chosen_decoder, plug_in_names("tvr.pipeline.decoders")),
            ("--on-error", self.on_error, ON_ERROR),
            ("--pixels", self.chosen_pixels, get_args(Pixels)),
            ("--resize", self.resize or "exact", get_args(Resize)),
            ("--file-digest", self.file_digest, get_args(FileDigest)),
        ):
            check_name(kind, value, known)
        check_resize(self.resize or "exact")
        if self.retry is not None:
            check_name("--retry", self.retried, (*RETRIED, UNTRUSTED, CHANGED))
            if self.retried == CHANGED != self.retry:
                raise UsageError(f"--retry changed takes all videos whose files changed, got {self.retry!r}")

    def _check_numbers(self) -> None:
        for name in ("videos_per_shard", "texts_per_shard", "frames_per_batch", "num_children", "limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{as_option(name)} must be at least 1, got {value}")
        if self.max_seconds is not None and self.max_seconds <= 0:
            raise UsageError(f"--max-seconds must be more than 0, got {self.max_seconds}")
        check_numbers(self, as_option)


@dataclass(frozen=True, slots=True)
class Request:
    """The names by which a data set and an encoder were loaded. No feature depends on where a file lies."""

    dataset: str
    """The plug-in, such as ``folder``; the store's own name of its data set may be another."""
    root: Path
    settings: Mapping[str, str]
    """``--data key=value``."""
    encoder: "EncoderSpec"

    def for_any_folder(self) -> "Request":
        """The same, from whatever folder it is repeated: with absolute paths."""
        return replace(self, root=self.root.absolute(), encoder=self.encoder.for_any_folder())


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Which encoder is loaded, and where: by value, so that a worker or a repair loads the same one."""

    model: str
    """A name of open_clip, ``hf-hub:owner/name``, ``tvr-storyboard``, ``words`` or ``transformers:...``."""
    pretrained: str | None = None
    """A tag, a checkpoint file, ``tag=file`` or ``random``; None: the model's usual weights."""
    device: str = "auto"
    precision: str = "auto"
    compiled: bool = False
    """Whether its image tower is compiled."""

    def load(self) -> Encoder:
        """The encoder with its weights.

        Raises:
            UsageError: an unknown model, tag, device or precision.
            WeightsError: weights that are missing, unreadable or another model's.
        """
        return load_encoder(
            self.model,
            self.pretrained,
            device=self.device,
            precision=self.precision,
            compiled=self.compiled,
        )

    def load_or_stand_in(self) -> tuple[Encoder, str]:
        """The encoder and nothing; or, where its published weights are out of reach, one of its architecture that is as
        wide and as fast, and why.

        Raises:
            UsageError, WeightsError: as ``load``, apart from weights that are not on this machine.
        """
        try:
            return self.load(), ""
        except MissingWeightsError as error:
            reason = str(error).partition("\n")[0]
        from .encoders.towers.frozen import FrozenEncoder  # torch takes seconds: options alone need none

        made = load_encoder(self.model, "random", device=self.device, precision=self.precision)
        assert isinstance(made, FrozenEncoder)
        # What is said of the features is to be true of those that will be extracted.
        identity = replace(made.identity, pretrained=self.pretrained or "", random_weights=False)
        return replace(made, identity=identity), reason

    def for_any_folder(self) -> "EncoderSpec":
        """The same, from whatever folder it is loaded: a model's folder and a checkpoint by their absolute paths."""
        plug_in, colon, folder = self.model.partition(":")
        is_folder = plug_in == "transformers" and Path(folder).expanduser().is_dir()
        model = f"{plug_in}{colon}{Path(folder).expanduser().absolute()}" if is_folder else self.model
        if self.pretrained is None:
            return replace(self, model=model)
        tag, equals, file = self.pretrained.rpartition("=")
        path = Path(file).expanduser()
        pretrained = f"{tag}{equals}{path.absolute()}" if path.is_file() else self.pretrained
        return replace(self, model=model, pretrained=pretrained)

    def on_own_gpu(self, worker: str) -> "EncoderSpec":
        """The same for one of the workers 0, 1, ... of a machine, each of which sees all its GPUs."""
        import torch

        gpus = torch.cuda.device_count()
        if self.device not in ("auto", "cuda") or gpus < 2 or not worker.isdecimal():
            return self
        return replace(self, device=f"cuda:{int(worker) % gpus}")


def sampling_of(preset: Preset, policy: str | None, num_frames: int | None, fps: float | None) -> Sampling:
    """What a user asked for, the rest filled in from the data set's preset.

    By default evenly spread frames, twice as many as heads use: two different views of a video (adaptive label
    denoising) need the spare ones. A file is decoded as far as before; encoding and bytes are twice as much.

    Raises:
        UsageError: no such policy.
    """
    spread = 2 * preset.num_frames
    name = policy or ("uniform" if fps is None else "fps")
    policies = get_args(Policy)
    check_name("--sampling", name, policies)
    cap = MAX_FRAMES if name == "fps" else spread
    return Sampling(
        policy=cast(Policy, name),
        num_frames=cap if num_frames is None else num_frames,
        fps=preset.fps if fps is None else fps,
    )


def sampling_before(preset: Preset) -> Sampling:
    """What ``sampling_of`` filled in, where nothing was asked for, in stores of earlier versions: 64 frames at most
    where that is not less than heads use."""
    frames = max(preset.num_frames, min(2 * preset.num_frames, 64))
    return replace(sampling_of(preset, None, None, None), num_frames=frames)


def pixels_of(name: str) -> Pixels:
    """The choice of that name.

    Raises:
        UsageError: there is none.
    """
    check_name("--pixels", name, get_args(Pixels))
    return cast(Pixels, name)


def resize_of(name: str) -> Resize:
    """The choice of that name.

    Raises:
        UsageError: there is none.
    """
    check_name("--resize", name, get_args(Resize))
    return cast(Resize, name)


def file_digest_of(name: str) -> FileDigest:
    """The digest of that name.

    Raises:
        UsageError: there is none.
    """
    check_name("--file-digest", name, get_args(FileDigest))
    return cast(FileDigest, name)


def text_policy_of(name: str) -> TextPolicy:
    """The policy of that name.

    Raises:
        UsageError: there is none.
    """
    check_name("--text-policy", name, get_args(TextPolicy))
    return cast(TextPolicy, name)
