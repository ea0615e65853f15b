import torch

from histolib.translation.image_pool import ImagePool


def image(value: int) -> torch.Tensor:
    return torch.full((1, 3, 2, 2), float(value))


def test_a_pool_that_is_not_full_stores_and_returns_every_image():
    pool = ImagePool(50)
    for i in range(50):
        assert pool.query(image(i)).unique().item() == i
    assert [int(kept[0, 0, 0]) for kept in pool.images] == list(range(50))


def test_a_full_pool_exchanges_half_of_the_images():
    pool = ImagePool(50)
    out = [int(pool.query(image(i)).unique()) for i in range(2050)][50:]
    swapped = [i for i, shown in enumerate(out, start=50) if shown != i]
    assert 0.45 < len(swapped) / 2000 < 0.55
    assert len(pool.images) == 50
    assert len(set(out)) == len(out), "an image that left the pool never comes back"


def test_images_leave_the_pool_without_gradient():
    assert not ImagePool().query(image(1).requires_grad_()).requires_grad


def test_a_restored_pool_continues_identically():
    pool = ImagePool(3, seed=5)
    for i in range(7):
        pool.query(image(i))
    again = ImagePool(3)
    again.load_state(pool.state())
    for i in range(7, 30):
        assert torch.equal(pool.query(image(i)), again.query(image(i)))


def test_an_empty_pool_is_restored_empty():
    pool = ImagePool(3)
    pool.load_state(ImagePool(3, seed=1).state())
    assert pool.images == []
