"""The loop must end in the same weights however often it was stopped, and never lose what it had saved."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from histolib import training
from histolib.training import checkpoint

SETTINGS = {"width": 4, "rate": 0.05}


class Regression:
    """A small network with dropout, momentum and a counter of its own: everything that a resume could forget."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.AdamW(net.parameters(), lr=0.05)
        self.modules = {"net": net}
        self.optimizers = {"net": optimizer}
        self.schedulers = {"net": torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=8)}
        self.seen = 0.0

    def step(self, batch, accelerator):
        self.optimizers["net"].zero_grad()
        loss = (self.modules["net"](batch["x"]) - batch["y"]).square().mean()
        accelerator.backward(loss)
        self.optimizers["net"].step()
        self.schedulers["net"].step()
        self.seen += float(batch["x"].sum())
        return {"loss": loss.detach(), "seen": torch.tensor(self.seen)}

    def extra_state(self):
        return {"seen": self.seen}

    def load_extra_state(self, state):
        self.seen = state["seen"]


def draw(index):
    rng = np.random.default_rng((7, index))
    x = torch.from_numpy(rng.normal(size=3).astype("float32"))
    return {"x": x, "y": x.sum(0, keepdim=True)}


def run(folder, steps=8, resume=False, **options):
    task = Regression()
    options = {"batch_size": 2, "settings": SETTINGS, "save_every": 3, **options}
    history = training.fit(task, draw, steps=steps, folder=folder, resume=resume, progress=False, **options)
    return task.modules["net"].state_dict(), history


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


class Stop(Exception):
    pass


def stop_at(step):
    def validate(now):
        if now == step:
            raise Stop
        return {}

    return validate


@pytest.mark.parametrize("stopped_at", [3, 4, 5, 7])
def test_a_stopped_run_ends_as_if_it_never_stopped(tmp_path, stopped_at):
    unbroken, history = run(tmp_path / "unbroken")
    with pytest.raises(Stop):
        run(tmp_path / "stopped", validate=stop_at(stopped_at), validate_every=1)
    resumed, log = run(tmp_path / "stopped", resume=True)
    assert_same(unbroken, resumed)
    assert history.equals(log)


def test_batches_may_change_their_size_and_no_sample_is_lost_or_shown_twice(tmp_path):
    sizes = [4, 4, 1, 2, 3, 1, 1, 2]
    unbroken, history = run(tmp_path / "unbroken", batch_size=sizes.__getitem__)
    shown = [float(draw(index)["x"].sum()) for index in range(sum(sizes))]
    expected = np.cumsum([sum(shown[sum(sizes[:k]) : sum(sizes[: k + 1])]) for k in range(8)])
    np.testing.assert_allclose(history["seen"], expected, rtol=1e-4)
    with pytest.raises(Stop):
        run(tmp_path / "stopped", batch_size=sizes.__getitem__, validate=stop_at(5), validate_every=1)
    resumed, _ = run(tmp_path / "stopped", batch_size=sizes.__getitem__, resume=True)
    assert_same(unbroken, resumed)


def test_resume_of_a_finished_run_changes_nothing(tmp_path):
    first, _ = run(tmp_path)
    again, history = run(tmp_path, resume=True)
    assert_same(first, again)
    assert list(history.index) == list(range(1, 9))


def test_resume_without_a_checkpoint_starts(tmp_path):
    _, history = run(tmp_path, resume=True)
    assert len(history) == 8


def test_without_resume_the_run_starts_over(tmp_path):
    first, _ = run(tmp_path)
    second, history = run(tmp_path)
    assert_same(first, second)
    assert len(history) == 8


def test_precision_may_change_from_run_to_run_of_one_process(tmp_path):
    full, _ = run(tmp_path / "full")
    half, _ = run(tmp_path / "half", mixed_precision="bf16")
    again, _ = run(tmp_path / "again")
    assert_same(full, again)
    assert not torch.equal(full["0.weight"], half["0.weight"])


def test_validation_numbers_join_the_log_where_they_were_taken(tmp_path):
    _, history = run(tmp_path, validate=lambda step: {"f1": step / 10}, validate_every=3)
    assert history["f1"].dropna().to_dict() == {3: 0.3, 6: 0.6, 8: 0.8}


SCORES = {2: 0.1, 4: 0.7, 6: 0.4, 8: 0.6}


def monitored(folder, patience=0, **options):
    options = {"validate": lambda step: {"f1": SCORES[step]}, "validate_every": 2, "monitor": "f1", **options}
    return run(folder, patience=patience, **options)


def test_a_monitored_run_ends_in_its_best_weights(tmp_path):
    best, history = monitored(tmp_path / "all")
    assert len(history) == 8
    at_four, _ = run(tmp_path / "four", steps=4)
    assert_same(best, at_four)


@pytest.mark.parametrize(("patience", "end"), [(1, 6), (2, 6), (3, 8), (4, 8), (0, 8)])
def test_a_run_ends_when_nothing_got_better_for_its_patience(tmp_path, patience, end):
    weights, history = monitored(tmp_path, patience)
    assert history.index[-1] == end
    again, resumed = monitored(tmp_path, patience, resume=True)
    assert_same(weights, again)
    assert resumed.equals(history)


@pytest.mark.parametrize("stopped_at", [4, 6])
def test_a_resumed_run_remembers_the_best_and_its_patience(tmp_path, stopped_at):
    unbroken, history = monitored(tmp_path / "unbroken", patience=2)

    def stop(step):
        if step == stopped_at:
            raise Stop
        return {"f1": SCORES[step]}

    with pytest.raises(Stop):
        monitored(tmp_path / "stopped", patience=2, validate=stop, save_every=1)
    resumed, log = monitored(tmp_path / "stopped", patience=2, resume=True)
    assert_same(unbroken, resumed)
    assert history.equals(log)


def test_a_score_that_is_never_a_number_keeps_the_last_weights(tmp_path):
    weights, history = monitored(tmp_path / "nan", patience=2, validate=lambda step: {"f1": float("nan")})
    assert len(history) == 8
    assert_same(weights, run(tmp_path / "plain")[0])


def test_other_settings_are_refused_by_name(tmp_path):
    run(tmp_path)
    with pytest.raises(ValueError, match=r"width 4 there, 8 here"):
        run(tmp_path, resume=True, settings={**SETTINGS, "width": 8})


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"checkpoint\.pt: expected a checkpoint"):
        run(tmp_path, resume=True)


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    training.save_checkpoint(path, {"step": 1}, SETTINGS)

    def half_written(_, file):
        Path(file).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", half_written)
    with pytest.raises(OSError, match="previous one is untouched"):
        training.save_checkpoint(path, {"step": 2}, SETTINGS)
    assert training.load_checkpoint(path, SETTINGS)["step"] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_disk_that_fills_up_in_a_run_leaves_its_previous_checkpoint_to_resume_from(tmp_path):
    unbroken, _ = run(tmp_path / "unbroken")
    script = textwrap.dedent(
        """
        import resource, sys
        sys.path.insert(0, sys.argv[1])
        from test_loop import run
        def fill(step):
            if step == 5:  # from here on no file may grow beyond a kilobyte: the write itself fails, half done
                resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
            return {}
        try:
            run(sys.argv[2], validate=fill, validate_every=1)
        except OSError as error:
            print(error)
        """
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "full")]
    child = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "checkpoint.pt: could not write the checkpoint, the previous one is untouched" in child.stdout, child.stderr
    assert sorted(file.name for file in (tmp_path / "full").iterdir()) == ["checkpoint.pt", "log.csv"]
    assert training.load_checkpoint(tmp_path / "full/checkpoint.pt", SETTINGS)["step"] == 3
    resumed, _ = run(tmp_path / "full", resume=True)
    assert_same(unbroken, resumed)


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    unbroken, _ = run(tmp_path / "unbroken")
    script = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, sys.argv[1])
        from test_loop import run
        def kill(step):
            if step == 5:
                os.kill(os.getpid(), signal.SIGKILL)
            return {}
        run(sys.argv[2], validate=kill, validate_every=1)
        """
    )
    child = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path / "killed")],
        env={**os.environ},
        check=False,
    )
    assert child.returncode == -signal.SIGKILL
    resumed, _ = run(tmp_path / "killed", resume=True)
    assert_same(unbroken, resumed)


def test_read_log_names_the_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"log\.csv"):
        training.read_log(tmp_path)
