"""Batch norms of convolutional towers, folded into the convolutions before them."""

from itertools import pairwise
from typing import Any

from open_clip.modified_resnet import ModifiedResNet
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(model: Any) -> None:
    """Fold them where the tower is CLIP's ResNet; other towers stay as they are.

    In inference a batch norm is a scale and a shift. On a CPU in bfloat16 it took a fifth of RN50's time, because it
    is computed in float32.
    """
    if not isinstance(model.visual, ModifiedResNet):
        return
    for module in model.visual.modules():
        _fold(module)


def _fold(module: nn.Module) -> None:
    """Each batch norm that is registered right after a convolution: in these blocks it also follows it."""
    for (name, convolution), (norm_name, norm) in pairwise(list(module.named_children())):
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, norm_name, nn.Identity())
