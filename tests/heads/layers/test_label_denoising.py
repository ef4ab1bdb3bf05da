"""The inequality of adaptive label denoising, by plain loops."""

import torch
from tvr.heads.layers.losses import potential_positives
from tvr.heads.layers.padding import l2_normalise


def test_by_loops() -> None:
    torch.manual_seed(0)
    things = torch.randn(9, 5, dtype=torch.float64)
    things[3] = things[1] + 0.05 * torch.randn(5)
    noise = torch.tensor([0.1, 0.4, 0.1, 0.02, 2.0, 2.0, 2.0, 0.1, 0.1])[:, None]
    views = [l2_normalise(things + noise * torch.randn(9, 5)) for _ in range(2)]
    found = potential_positives(*views)

    def fires(i: int, j: int) -> bool:
        pairs = [float(views[k][i] @ views[m][j]) for k in range(2) for m in range(2)]
        return sum(pairs) / 4 >= float(views[0][i] @ views[1][i])

    for i in range(9):
        for j in range(9):
            assert bool(found[i, j]) == (fires(i, j) or fires(j, i))
    assert found.diagonal().all() and found[1, 3] and not found[0, 1]


def test_equal_views_find_only_duplicates() -> None:
    views = torch.eye(4)[[0, 1, 2, 1]]
    assert torch.equal(potential_positives(views, views), views @ views.T == 1)


def test_copies_are_found_whatever_is_rounded() -> None:
    """A sum of products differs with its order, and a unit vector in single precision is not quite of length 1."""
    torch.manual_seed(0)
    things = torch.randn(60, 512)
    things[40:] = things[:20] * torch.linspace(0.5, 3, 20)[:, None]
    views = l2_normalise(things)
    same = torch.eye(60, dtype=torch.bool)
    same[range(40, 60), range(20)], same[range(20), range(40, 60)] = True, True
    assert torch.equal(potential_positives(views, views), same)


def test_what_is_nearly_a_copy_is_none() -> None:
    """The tolerance is that of rounding: two videos 0.2 degrees apart are two."""
    views = l2_normalise(torch.tensor([[1.0, 0.0], [1.0, 0.0035]]))
    assert torch.equal(potential_positives(views, views), torch.eye(2, dtype=torch.bool))


def test_takes_no_gradient() -> None:
    view = l2_normalise(torch.randn(3, 4, requires_grad=True))
    assert not potential_positives(view, view).requires_grad


def test_mixed_precision_decides_alike() -> None:
    """Of nearly still videos, where a rounded cosine would find positives everywhere."""
    torch.manual_seed(0)
    things = torch.randn(1, 64) + 0.02 * torch.randn(40, 64)
    views = [l2_normalise(things + 0.002 * torch.randn(40, 64)) for _ in range(2)]
    exact = potential_positives(*views)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(potential_positives(*views), exact)
    assert torch.equal(exact, torch.eye(40, dtype=torch.bool))
