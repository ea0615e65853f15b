import numpy as np
import pytest
import torch
import torch.nn.functional as F

from histolib.nuclei import hover_losses, hover_targets
from histolib.nuclei.losses import dice_loss, gradient_loss


def problem(instances, types=3):
    """Perfect logits and targets of a label map with nuclei of type 1."""
    nuclei = torch.from_numpy((instances > 0).astype(np.int64))[None]
    hv = torch.from_numpy(hover_targets(instances)).permute(2, 0, 1)[None]
    logits = {name: 40.0 * F.one_hot(nuclei, n).permute(0, 3, 1, 2) for name, n in (("np", 2), ("tp", types))}
    return logits | {"hv": hv.clone()}, {"np": nuclei, "tp": nuclei, "hv": hv}


def test_perfect_outputs_cost_nothing_and_each_error_costs(discs):
    outputs, target = problem(discs((40, 40), (12, 12, 8), (28, 28, 8)), types=2)
    losses = hover_losses(outputs, target)
    assert set(losses) == {"hv_mse", "hv_gradient", "np_ce", "np_dice", "tp_ce", "tp_dice"}
    assert all(value < 1e-4 for value in losses.values())
    worse = hover_losses({name: value.flip(-1) for name, value in outputs.items()}, target)
    assert all(worse[name] > losses[name] + 1e-3 for name in losses)
    outputs.pop("tp"), target.pop("tp")
    assert set(hover_losses(outputs, target)) == {"hv_mse", "hv_gradient", "np_ce", "np_dice"}


@pytest.mark.parametrize("nuclear", [range(0), range(70, 71), range(144)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_losses_and_gradients_are_finite_on_empty_single_pixel_and_full_maps(nuclear, dtype):
    _, target = problem(np.isin(np.arange(144).reshape(12, 12), nuclear).astype(np.int32))
    torch.manual_seed(0)
    channels = {"np": 2, "hv": 2, "tp": 3}
    outputs = {name: torch.randn(1, n, 12, 12).to(dtype).requires_grad_() for name, n in channels.items()}
    losses = hover_losses(outputs, target)
    sum(losses.values()).backward()
    assert all(value.isfinite() and value.dtype == torch.float32 for value in losses.values())
    assert all(value.grad.isfinite().all() for value in outputs.values())


def test_dice_and_gradient_terms_have_known_values():
    classes, guess = torch.zeros(2, 1, 4, 4, dtype=torch.long)
    classes[:, :2] = 1
    guess[:, 1:3] = 1
    logits = 60 * F.one_hot(guess, 2).permute(0, 3, 1, 2).float()
    assert dice_loss(logits, classes).item() == pytest.approx(2 * 0.5, abs=1e-3)
    # Of an error that grows by `a` a pixel along its map, the 5 x 5 kernel sees a times the sum of its weights.
    offsets = np.argwhere(np.ones((5, 5))) - 2
    weight = sum(dx * dx / (dx * dx + dy * dy) for dy, dx in offsets if dx or dy)
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    truth = torch.zeros(2, 2, 12, 12)
    hv = torch.stack([0.3 * x + 7 * y, 0.1 * y - 5 * x]).expand(2, 2, 12, 12)  # the other direction does not count
    nuclei = torch.zeros(2, 12, 12, dtype=torch.long)
    nuclei[0, 3:6, 4:9] = 1
    expected = ((0.3 * weight) ** 2 + (0.1 * weight) ** 2) / 2
    assert gradient_loss(hv, truth, nuclei).item() == pytest.approx(expected, rel=1e-4)
    losses = hover_losses({"np": torch.zeros(2, 2, 12, 12), "hv": hv}, {"np": nuclei, "hv": truth})
    assert losses["hv_gradient"].item() == pytest.approx(2 * expected, rel=1e-4)
    assert losses["np_ce"].item() == pytest.approx(np.log(2), rel=1e-5)
