"""What must be known of an encoder, from what a store of any version says of itself."""

import pytest
from tvr.data.contracts.cautions import DRAWINGS_ONLY, RANDOM_WEIGHTS, Caution, caution_of, label_of
from tvr.pipeline.encoders.weights.sources import STORYBOARD_MODEL

from ...fixtures.stores import manifest


@pytest.mark.parametrize(
    ("model", "dataset", "random_weights", "caution"),
    [
        ("ViT-B-32", "folder-clips", False, None),
        ("ViT-B-32", "storyboard", True, RANDOM_WEIGHTS),
        (STORYBOARD_MODEL, "storyboard", False, None),
        (STORYBOARD_MODEL, "folder-clips", False, DRAWINGS_ONLY),
        (STORYBOARD_MODEL, "msrvtt", True, RANDOM_WEIGHTS),
    ],
)
def test_an_encoder_that_says_nothing_of_the_videos_is_told(
    model: str, dataset: str, random_weights: bool, caution: Caution | None
) -> None:
    assert caution_of(model, dataset, random_weights=random_weights) is caution
    encoder = {**manifest().encoder, "model": model, "random_weights": random_weights}
    stored = manifest(dataset=dataset, encoder=encoder)
    assert stored.caution is caution
    assert label_of(stored.caution) == (caution and caution.label)
