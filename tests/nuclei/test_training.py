import signal
import subprocess
import sys
import textwrap
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.measure import label
from skimage.segmentation import clear_border

from histolib.data import InstanceSample
from histolib.imaging import Patch
from histolib.nuclei import HoverSettings, HoverTask, crops, find_nuclei, hover_targets, load_hovernet, train

TINY = HoverSettings(
    types=("round", "odd"), width=1 / 16, mpp=0.5, map_px=20, batch_size=2, steps=4, affine=0.0, jitter=0.0
)


def sample(instances, mpp=0.5, types=None, name="tile"):
    """Dark nuclei on white; types default to 1."""
    instances = np.asarray(instances, np.int32)
    image = np.where(instances[..., None] > 0, (120, 60, 140), 245).astype(np.uint8)
    types = np.ones(instances.max(), np.int64) if types is None else np.asarray(types)
    return InstanceSample(Patch(image, mpp, name), instances, types, "", "")


@pytest.fixture
def tiles(discs):
    return [
        sample(discs((60, 50), (15, 15, 7), (30, 40, 9)), types=[1, 2]),
        sample(discs((64, 64), (10, 50, 6), (40, 20, 8)), types=[2, 1]),
        sample(np.zeros((60, 60))),
    ]


def test_a_crop_holds_image_and_truth_at_the_sizes_of_the_network(tiles):
    drawn = crops(tiles, TINY)(0)
    assert {name: (tuple(value.shape), value.dtype) for name, value in drawn.items()} == {
        "image": ((3, 112, 112), torch.float32),
        "np": ((20, 20), torch.int64),
        "hv": ((2, 20, 20), torch.float32),
        "tp": ((20, 20), torch.int64),
    }
    assert set(crops(tiles, replace(TINY, types=()))(0)) == {"image", "np", "hv"}


def test_the_stream_depends_on_seed_and_index_alone(tiles):
    draw, again, other = crops(tiles, TINY), crops(tiles, TINY), crops(tiles, replace(TINY, seed=1))
    for index in (5, 0, 5):
        assert all(torch.equal(value, again(index)[name]) for name, value in draw(index).items())
    assert any(not torch.equal(draw(i)["image"], other(i)["image"]) for i in range(5))
    assert len({draw(i)["image"].numpy().tobytes() for i in range(20)}) > 10


@pytest.mark.parametrize(("shape", "mpp"), [((70, 64), 0.5), ((140, 128), 0.25), ((9, 40), 0.5), ((1, 1), 0.5)])
def test_truth_lies_where_the_image_shows_it_whatever_the_size_and_scale(discs, shape, mpp):
    factor = 0.5 / mpp
    circles = [(x * factor, y * factor, 6 * factor) for x, y in ((5, 5), (35, 8), (20, 40), (50, 60))]
    instances = np.unique(discs(shape, *circles), return_inverse=True)[1].reshape(shape)
    draw = crops([sample(instances, mpp)], TINY)
    agree = []
    for index in range(12):
        drawn = draw(index)
        dark = drawn["image"][:, 46:-46, 46:-46].mean(dim=0) < 0.7
        agree.append((dark == (drawn["np"] == 1)).float().mean().item())
        assert torch.equal(drawn["tp"], drawn["np"])
        assert not drawn["hv"][:, drawn["np"] == 0].any()
    assert min(agree) > 0.95


@pytest.mark.parametrize("row", [0, 6])
def test_a_nucleus_and_its_mirror_image_are_one_where_they_touch_and_two_where_they_do_not(discs, row):
    draw = crops([sample(discs((20, 20), (10, row, 4)))], replace(TINY, map_px=36))
    seen = 0
    for drawn in map(draw, range(8)):
        pieces = label(drawn["np"].numpy())
        whole = pieces == clear_border(pieces)
        seen += pieces[whole].any()
        expected = hover_targets(pieces).transpose(2, 0, 1)
        np.testing.assert_allclose(drawn["hv"].numpy()[:, whole], expected[:, whole], atol=1e-6)
    assert seen


def test_distances_are_those_of_the_whole_nucleus_beyond_the_scored_square(discs):
    draw = crops([sample(discs((120, 120), (60, 60, 40)))], TINY)
    inside = [drawn["hv"].abs().max() for drawn in map(draw, range(30)) if drawn["np"].all()]
    assert inside
    assert max(inside) < 1


def test_all_eight_orientations_are_drawn():
    instances = np.zeros((20, 20))
    instances[2:4, 5:16] = 1
    instances[4:9, 5:8] = 1
    draw = crops([sample(instances)], TINY)
    assert len({draw(index)["np"].numpy().tobytes() for index in range(80)}) == 8


def test_a_run_leaves_a_network_that_finds_nuclei_and_a_card_that_says_what_it_is(tmp_path, tiles):
    history = train(tiles, TINY, tmp_path, trained_on="drawn discs", progress=False)
    assert list(history.columns) == ["loss", "hv_mse", "hv_gradient", "np_ce", "np_dice", "tp_ce", "tp_dice"]
    assert len(history) == 4
    np.testing.assert_allclose(history["loss"], history.drop(columns="loss").sum(axis=1), rtol=1e-5)
    net, card = load_hovernet(tmp_path / "hovernet.safetensors")
    assert (card["mpp"], card["types"], card["trained_on"]) == (0.5, ["round", "odd"], "drawn discs")
    assert card["settings"]["steps"] == 4
    assert "score" in find_nuclei(tiles[0].patch, net, card["mpp"])


def test_training_lowers_the_loss(tmp_path, discs):
    tile = sample(discs((40, 40), (10, 12, 7), (30, 25, 8)))
    history = train([tile], replace(TINY, steps=20, map_px=36, types=(), learning_rate=5e-3), tmp_path, progress=False)
    assert history["loss"].tail(4).mean() < 0.7 * history["loss"].head(4).mean()


def test_a_resumed_run_ends_bit_identical_to_one_without_interruption(tmp_path, tiles, monkeypatch):
    settings = replace(TINY, jitter=0.15)
    whole = train(tiles, settings, tmp_path / "whole", save_every=2, progress=False)
    step, calls = HoverTask.step, []

    def dying(self, batch, accelerator):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(self, batch, accelerator)

    with monkeypatch.context() as patch:
        patch.setattr(HoverTask, "step", dying)
        with pytest.raises(KeyboardInterrupt):
            train(tiles, settings, tmp_path / "cut", save_every=2, progress=False)
    resumed = train(tiles, settings, tmp_path / "cut", resume=True, save_every=2, progress=False)
    assert resumed.equals(whole)
    one, two = (load_hovernet(tmp_path / run / "hovernet.safetensors")[0] for run in ("whole", "cut"))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_a_frozen_encoder_keeps_its_weights_until_it_thaws(tmp_path, tiles):
    start = HoverTask(TINY).net
    train(tiles, replace(TINY, freeze_encoder_steps=4), tmp_path / "frozen", progress=False)
    train(tiles, replace(TINY, freeze_encoder_steps=3), tmp_path / "thawed", progress=False)
    frozen, thawed = (load_hovernet(tmp_path / run / "hovernet.safetensors")[0] for run in ("frozen", "thawed"))
    assert torch.equal(frozen.d2.shortcut.weight, start.d2.shortcut.weight)
    assert not torch.equal(thawed.d2.shortcut.weight, start.d2.shortcut.weight)
    assert not torch.equal(frozen.conv_bot.weight, start.conv_bot.weight)


def test_the_first_phase_may_have_larger_batches():
    settings = replace(TINY, batch_size=4, freeze_encoder_steps=2, frozen_batch_size=16)
    assert [settings.batch_at(step) for step in range(4)] == [16, 16, 4, 4]
    assert replace(settings, frozen_batch_size=0).batch_at(0) == 4


def test_validation_joins_the_log_and_the_card_says_what_was_seen(tmp_path, tiles):
    settings = replace(TINY, validate_every=2)
    history = train(tiles[:1], settings, tmp_path, validation=tiles[1:], groups=["b", "a", "a"], progress=False)
    for name in ("val_f1", "val_dice", "val_pq"):
        assert history[name].dropna().index.tolist() == [2, 4]
    assert load_hovernet(tmp_path / "hovernet.safetensors")[1]["groups"] == ["a", "b"]


def test_the_published_schedule_starts_each_phase_at_full_rate_and_ends_it_at_a_tenth():
    settings = replace(TINY, schedule="published", steps=10, freeze_encoder_steps=4)
    assert [settings.rate(step) for step in range(10)] == [1, 1, 0.1, 0.1, 1, 1, 1, 0.1, 0.1, 0.1]
    with pytest.raises(ValueError, match="schedule: expected one of one-cycle, published, found 'cosine'"):
        replace(TINY, schedule="cosine")


def test_the_second_published_phase_forgets_the_moments_of_the_first(tmp_path, tiles, monkeypatch):
    settings = replace(TINY, schedule="published", freeze_encoder_steps=2)
    counts, step = [], HoverTask.step

    def spied(self, batch, accelerator):
        losses = step(self, batch, accelerator)
        state = self.optimizers["net"].state[self.net.conv_bot.weight]
        counts.append(int(state["step"]))
        return losses

    monkeypatch.setattr(HoverTask, "step", spied)
    train(tiles, settings, tmp_path, progress=False)
    assert counts == [1, 2, 1, 2]


def test_a_run_killed_in_its_second_phase_resumes_to_the_same_bits(tmp_path, tiles):
    script = textwrap.dedent(
        """
        import os, signal, sys
        from dataclasses import replace
        import numpy as np, torch
        torch.set_num_threads(1)
        from histolib.data import InstanceSample
        from histolib.imaging import Patch
        from histolib.nuclei import HoverSettings, HoverTask, train
        folder, kill_at, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
        ids = np.zeros((60, 50), np.int32)
        ids[8:20, 9:22], ids[30:44, 25:37] = 1, 2
        image = np.where(ids[..., None] > 0, (120, 60, 140), 245).astype(np.uint8)
        tile = InstanceSample(Patch(image, 0.5, "tile"), ids, np.array([1, 2]), "", "")
        step, calls = HoverTask.step, []
        def dying(self, batch, accelerator):
            calls.append(1)
            if len(calls) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, batch, accelerator)
        HoverTask.step = dying
        settings = HoverSettings(
            types=("round", "odd"), width=1 / 16, mpp=0.5, map_px=20, batch_size=2, steps=7, freeze_encoder_steps=3,
            schedule="published", validate_every=2, patience=6,
        )
        train([tile], settings, folder, validation=[tile], resume=resume, save_every=2, progress=False)
        """
    )

    def run(name, kill_at=0, resume=""):
        command = [sys.executable, "-c", script, str(tmp_path / name), str(kill_at), resume]
        return subprocess.run(command, check=False).returncode

    assert run("whole") == 0
    assert run("killed", kill_at=6) == -signal.SIGKILL
    assert not (tmp_path / "killed/hovernet.safetensors").exists()
    assert run("killed", resume="resume") == 0
    whole, killed = (tmp_path / name / "hovernet.safetensors" for name in ("whole", "killed"))
    assert whole.read_bytes() == killed.read_bytes()


def test_samples_without_any_nucleus_train_without_nan(tmp_path):
    history = train([sample(np.zeros((30, 30)))], replace(TINY, steps=2), tmp_path, progress=False)
    assert np.isfinite(history.to_numpy()).all()


def test_what_cannot_be_trained_on_is_named(tmp_path, tiles):
    with pytest.raises(ValueError, match="at least one sample"):
        train([], TINY, tmp_path)
    with pytest.raises(ValueError, match=r"map_px: expected a size of 'original' such as 24, found 20"):
        train(tiles, replace(TINY, mode="original"), tmp_path)
    odd = sample(np.ones((30, 30)), types=[3], name="tile 7")
    with pytest.raises(ValueError, match=r"tile 7: expected types 1 to 2 \(round, odd\), found 3"):
        train([odd], TINY, tmp_path, progress=False)


def test_building_a_task_leaves_the_global_chance_alone_and_repeats_by_its_seed():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = HoverTask(TINY).net, HoverTask(TINY).net, HoverTask(replace(TINY, seed=1)).net
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.conv_bot.weight, two.conv_bot.weight)
    assert not torch.equal(one.conv_bot.weight, other.conv_bot.weight)


def test_a_training_may_start_from_an_earlier_network_and_says_so(tiles, tmp_path):
    train(tiles, TINY, tmp_path / "first")
    begun = tmp_path / "first" / "hovernet.safetensors"
    first, _ = load_hovernet(begun)
    task = HoverTask(TINY, start=begun)
    assert all(torch.equal(value, task.net.state_dict()[name]) for name, value in first.state_dict().items())
    train(tiles, replace(TINY, seed=1), tmp_path / "second", start=begun)
    _, card = load_hovernet(tmp_path / "second" / "hovernet.safetensors")
    assert card["start"].startswith("first ")
    with pytest.raises(ValueError, match="start"):
        train(tiles, replace(TINY, seed=1), tmp_path / "second", resume=True)
    with pytest.raises(ValueError, match="expected a HoVer-Net of"):
        HoverTask(replace(TINY, width=1 / 8), start=begun)
    for types in ((), ("a", "b", "c")):
        other = HoverTask(replace(TINY, types=types), start=begun).net.state_dict()
        assert torch.equal(other["conv0./.weight"], first.state_dict()["conv0./.weight"])
        assert any(name.startswith("decoder.tp") for name in other) == bool(types)


def test_averaged_weights_are_what_is_kept_and_survive_a_stop(tiles, tmp_path):
    settings = replace(TINY, ema=0.9, steps=4)
    train(tiles, settings, tmp_path / "whole")
    train(tiles, replace(settings, ema=0.0), tmp_path / "plain")
    whole, plain = (
        load_hovernet(tmp_path / run / "hovernet.safetensors")[0].state_dict() for run in ("whole", "plain")
    )
    assert any(not torch.equal(value, plain[name]) for name, value in whole.items())
    task = HoverTask(settings)
    task.steps_done = 3
    task.average.conv0.bn.running_mean.fill_(7)
    again = HoverTask(settings)
    again.load_extra_state(task.extra_state())
    assert again.steps_done == 3
    assert (again.kept()["net"].conv0.bn.running_mean == 7).all()
