import torch

from histolib.translation.image_pool import ImagePool


def image(value: int) -> torch.Tensor:
    return torch.full((1, 3, 2, 2), float(value))


def test_a_pool_fills_up_and_then_swaps_half_of_the_images():
    pool = ImagePool(50)
    first, out = ([int(pool.query(image(i)).unique()) for i in steps] for steps in (range(50), range(50, 2050)))
    assert first == list(range(50))
    swapped = [i for i, shown in enumerate(out, start=50) if shown != i]
    assert 0.45 < len(swapped) / 2000 < 0.55
    assert len(pool.images) == 50
    assert len(set(out)) == len(out), "an image that left the pool never comes back"


def test_a_restored_pool_goes_on_as_the_old_one():
    pool = ImagePool(3, seed=5)
    again = ImagePool(3)
    again.load_state(pool.state())
    assert again.images == []
    for i in range(7):
        assert not pool.query(image(i).requires_grad_()).requires_grad
    again.load_state(pool.state())
    for i in range(7, 30):
        assert torch.equal(pool.query(image(i)), again.query(image(i)))
