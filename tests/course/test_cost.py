"""Costs are what a run measured, else what single steps add up to, else unknown."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest

from histolib.config import PROFILES
from histolib.course.cost import COSTS, Cost, expected, phantom_size, planned_steps, read_costs, with_run

QUICK = PROFILES["quick"]
FULL = replace(
    PROFILES["full"], translation_warm_steps=10, translation_steps=100, nuclei_steps=40, pannuke_per_fold=400,
    endonuke_runs=(1, 1, 1, 1, 20, 30), bci_pairs=(8, 2),
)  # fmt: skip
STEPS = {
    "profile": "full",
    "phantom": {
        "seconds": {"bci_pair": 2.0, "pannuke_patch": 0.5, "endonuke_tile": 0.25},
        "memory_mb": 800.0,
        "disk_mb": 7000.0,
    },
    "cyclegan": {"seconds": {"cyclegan_warm_step": 1.0, "cyclegan_step": 3.0}, "memory_mb": 2000.0, "disk_mb": 400.0},
    "hovernet": {"seconds": {"hovernet_step": 5.0}, "memory_mb": 9000.0, "disk_mb": 600.0},
    "maps": {"seconds": {"hovernet_mm2": 100.0}, "memory_mb": 1500.0, "disk_mb": 0.0},
}
MACHINE = {"histolib": "0", "commit": "abc", "python": "3", "torch": "2", "device": "cpu", "cpus": 2}


def summary(done=2, **changes):
    """Of a run of four notebooks, of which the first are done; the k-th took 10 k seconds, 100 k and k MB."""
    notebooks = [
        {
            "name": f"0{k}_x.ipynb",
            "status": "done" if k <= done else "not run",
            "seconds": 10.0 * k,
            "cpu_seconds": 9.0 * k,
            "memory_mb": 100.0 * k,
            "results_mb": 1.0 * k,
            "figures": [],
        }
        for k in (1, 2, 3, 4)
    ]
    found = {"trainings": {}, "phantom": False}
    about = {"status": "done", "profile": "quick", "parameters": {"data_dir": ""}, "found": found, "phantom_mb": 50.0}
    return {**MACHINE, **about, "notebooks": notebooks, **changes}


def test_what_a_run_measured_is_what_the_next_will_take():
    costs = with_run({}, summary())
    assert expected(costs, QUICK, "02") == Cost(20.0, 200.0, 2.0)
    assert expected(costs, QUICK, "03") == Cost()
    assert costs["runs"]["quick"]["machine"] == MACHINE
    assert costs["runs"]["quick"]["phantom_mb"] == 50.0


def test_a_run_replaces_its_notebooks_and_leaves_the_rest_of_the_costs_alone():
    before = {"steps": STEPS, **with_run({}, summary(4))}
    kept = deepcopy(before)
    newer = summary(1)
    newer["notebooks"][0]["seconds"] = 11.0
    after = with_run(before, newer)
    assert before == kept
    assert after["steps"] == STEPS
    assert [expected(after, QUICK, f"0{k}").seconds for k in (1, 2, 3, 4)] == [11.0, 20.0, 30.0, 40.0]


def test_a_run_that_did_less_work_than_the_next_may_have_to_is_refused():
    failed, holed = summary(2, status="failed"), summary(1)
    failed["notebooks"][2]["status"] = "failed"
    holed["notebooks"][2]["status"] = "done"
    for wrong, message in (
        (failed, "s.json: expected the first notebooks of the course done, found 01 done, 02 done, 03 failed, 04 not"),
        (holed, "found 01 done, 02 not run, 03 done"),
        (summary(found={"trainings": {"cyclegan": 3}, "phantom": True}), "to go on with, found cyclegan, drawn tissue"),
        (summary(found={"trainings": {}, "phantom": True}), "found drawn tissue"),
        (summary(parameters={"data_dir": "data"}), "found a data_dir"),
    ):
        with pytest.raises(ValueError, match=message):
            with_run({}, wrong, "s.json")


def test_an_estimate_is_its_steps_and_the_rest_of_the_quick_profile():
    costs = {"steps": STEPS, **with_run({}, summary(4))}
    one, two, three, four = (expected(costs, FULL, number) for number in ("01", "02", "03", "04"))
    assert one.seconds == 10 * 2 + 1200 * 0.5 + 54 * 0.25 + 10 * 10
    assert (one.memory_mb, one.results_mb) == (None, 1.0)
    assert two.seconds == 20 + 10 * 1 + 100 * 3
    assert (two.memory_mb, two.results_mb) == (2000.0, 402.0)
    assert two.steps == {"cyclegan_warm_step": (10, 1.0), "cyclegan_step": (100, 3.0), "quick_run": (1, 20.0)}
    assert three.seconds == pytest.approx(30 + 40 * 5 + 2 * 400 * 0.064**2 * 100)
    assert (three.memory_mb, three.results_mb) == (9000.0, 603.0)
    assert four.seconds == pytest.approx(40 + (20 + 20) * 5 + 11 * 50 * 0.01 * 100)
    assert (four.memory_mb, four.results_mb) == (9000.0, 1204.0)


def test_steps_that_are_done_are_not_waited_for():
    costs = {"steps": STEPS}
    assert [expected(costs, FULL, "02", {"cyclegan": done}).seconds for done in (0, 4, 10, 60, 110, 999)] == [
        310, 306, 300, 150, 0, 0
    ]  # fmt: skip
    assert expected(costs, FULL, "04", {"synthetic": 20, "supervised": 15}).steps["hovernet_step"] == (5, 5.0)
    assert expected({**with_run({}, summary(1)), **costs}, FULL, "01", {"phantom": 1}).seconds == 100


def test_without_measurement_nothing_is_known():
    other = {"steps": {**STEPS, "profile": "other"}}
    for costs, size, number in (
        ({}, QUICK, "01"), ({}, FULL, "02"), ({"steps": STEPS}, QUICK, "02"), ({"steps": STEPS}, FULL, "07"),
        (other, FULL, "02"), (with_run(other, summary(4)), FULL, "02"),
    ):  # fmt: skip
        assert expected(costs, size, number) == Cost()


def test_the_phantom_is_as_large_as_a_run_left_it_or_as_its_images_add_up_to():
    assert phantom_size({}, QUICK) is None
    assert phantom_size({"steps": STEPS}, QUICK) is None
    assert phantom_size({"steps": STEPS}, FULL) == 7000.0
    assert phantom_size({"steps": STEPS, **with_run({}, summary(1, profile="full"))}, FULL) == 50.0


def test_costs_are_read_from_the_results_or_are_empty(tmp_path):
    assert read_costs(tmp_path) == {}
    (tmp_path / COSTS).write_text(json.dumps({"steps": STEPS}))
    assert read_costs(tmp_path) == {"steps": STEPS}


def test_every_training_of_the_course_has_its_steps():
    assert planned_steps(FULL) == {"cyclegan": 110, "hovernet": 40, "synthetic": 20, "supervised": 20}
