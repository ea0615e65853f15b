"""A plan must say what is there, what is missing and what it takes, and must leave everything as it is."""

import json

import pytest

from histolib.config import PROFILES, Paths, phantom_folder
from histolib.course.plan import duration, make_plan, size_of
from histolib.data import phantom

QUICK = PROFILES["quick"]
MEASURED = {"seconds": 100.0, "cpu_seconds": 90.0, "memory_mb": 640.0, "results_mb": 40.0}
RUN = {
    "machine": {"device": "cpu", "cpus": 2, "torch": "2.0"},
    "phantom_mb": 500.0,
    "notebooks": {"02": MEASURED, "04": {**MEASURED, "seconds": 290.0, "memory_mb": 2900.0}},
}


@pytest.fixture
def paths(tmp_path):
    (tmp_path / "data/results").mkdir(parents=True)
    (tmp_path / "data/results/course_cost.json").write_text(json.dumps({"runs": {"quick": RUN}}))
    return Paths(tmp_path)


def plan(paths, names=("02_b", "04_d"), size=QUICK, **parameters):
    files = [paths.root / "notebooks" / f"{name}.ipynb" for name in names]
    parameters = {"data_dir": "", "seed": 0, "resume": False, **parameters}
    return make_plan(files, size, parameters, paths, paths.runs / "mine", paths.figures)


def train(paths, name, steps):
    folder = paths.runs / "mine" / name
    folder.mkdir(parents=True)
    (folder / "checkpoint.pt").touch()
    (folder / "log.csv").write_text("step,name,value\n" + "".join(f"{i + 1},cycle,0.1\n" for i in range(steps)) + "9")


def test_it_tells_time_memory_disk_and_where_the_numbers_come_from(paths):
    made = plan(paths)
    lines = made.text.splitlines()
    assert lines[0].startswith("profile quick, notebooks 02, 04, on c")
    assert "02_b.ipynb  1 min 40 s   640 MB     a run" in lines
    assert "04_d.ipynb  4 min 50 s   2.9 GB     a run" in lines
    assert "altogether  6 min 30 s   2.9 GB" in lines
    assert "a run: on cpu with 2 cores, torch 2.0, from nothing" in lines
    assert made.seconds == 390.0
    assert any(line.startswith("disk: 580 MB needed, ") and line.endswith(" free") for line in lines)
    assert f"results: {paths.runs / 'mine'}, with summary.json; figures: {paths.figures}" in lines


def test_what_was_never_measured_is_not_known(paths):
    made = plan(paths, ("01_a", "02_b"))
    assert "01_a.ipynb  not known    not known" in made.text.splitlines()
    assert "altogether  not known    640 MB" in made.text.splitlines()
    assert "disk: need not known" in made.text
    assert made.seconds is None


def test_an_estimate_says_what_it_is_made_of(paths):
    one = {"memory_mb": 9000.0, "disk_mb": 600.0}
    steps = {"profile": "full", "maps": {**one, "seconds": {"hovernet_mm2": 1900.0}}}
    steps |= {"hovernet": {**one, "seconds": {"hovernet_step": 0.25}}, "phantom": {"disk_mb": 6500.0}}
    (paths.data / "results/course_cost.json").write_text(json.dumps({"runs": {}, "steps": steps}))
    text = plan(paths, ("03_c",), PROFILES["full"]).text
    assert "03_c.ipynb  3 h 10 min   9.0 GB     single steps" in text  # 20,000 x 0.25 s and 3.3 x 1,900 s
    assert "single steps: 03 is 20,000 steps of HoVer-Net at 0.25 s, 3 mm² of HoVer-Net's maps at 1,900 s" in text
    assert "an estimate for one CPU core" in text
    assert "disk: 7.1 GB needed" in text


def test_it_writes_nothing(paths):
    before = sorted(paths.root.rglob("*"))
    plan(paths)
    assert sorted(paths.root.rglob("*")) == before


def test_drawn_tissue_is_drawn_once_for_each_seed(paths):
    assert f"phantom tissue, to be drawn in {paths.data / 'phantom/quick'}; nothing is downloaded" in plan(paths).text
    for name in ("bci", "pannuke", "endonuke"):
        (phantom_folder(paths.data, QUICK) / name).mkdir(parents=True)
    made = plan(paths)
    assert f"phantom tissue, drawn already in {paths.data / 'phantom/quick'}" in made.text
    assert "disk: 80 MB needed" in made.text
    assert made.found == {"trainings": {}, "phantom": True}
    assert f"to be drawn in {paths.data / 'phantom/quick-3'}" in plan(paths, seed=3).text


def test_real_sets_are_counted_and_missing_ones_are_named(paths, tmp_path):
    phantom.write_bci(tmp_path / "real/bci", 2, 1, 64)
    made = plan(paths, data_dir="real")
    assert f"data: {tmp_path / 'real/bci'}, 3 samples" in made.text
    assert [line.split(": ")[1] for line in made.missing] == [
        str(tmp_path / "real" / n) for n in ("pannuke", "endonuke")
    ]
    assert all(f"missing: {line}" in made.text for line in made.missing)
    assert "phantom tissue" not in made.text
    assert made.phantom is None
    assert plan(paths, data_dir=str(tmp_path / "real")).missing == made.missing


def test_weights_that_a_parameter_names_must_be_there(paths, tmp_path):
    assert plan(paths, official_weights="gone.tar").missing == [
        "official_weights: expected a file, found none at gone.tar"
    ]
    (tmp_path / "here.tar").touch()
    assert plan(paths, official_weights="here.tar").missing == []


def test_it_says_of_each_training_whether_it_is_begun_anew(paths):
    assert "there already: no training" in plan(paths).text
    for name, steps in (("cyclegan", 350), ("hovernet", 0), ("synthetic", 20)):
        train(paths, name, steps)
    made = plan(paths)
    assert made.found["trainings"] == {"cyclegan": 350, "hovernet": 0, "synthetic": 20}
    assert "cyclegan, 350 of 350 steps, begun anew unless --set resume=True;" in made.text
    assert "hovernet, 0 of 110 steps, used as it is;" in made.text
    assert "synthetic, 20 of 55 steps, gone on with" in made.text
    assert "cyclegan, 350 of 350 steps, gone on with;" in plan(paths, resume=True).text
    assert "synthetic, 20 of 55 steps, used as it is" in plan(paths, ("02_b",)).text


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "not known"), (0, "0 s"), (45.2, "45 s"), (99, "99 s"), (100, "1 min 40 s"), (117, "2 min"),
        (389, "6 min 30 s"), (754, "13 min"), (3600, "1 h"), (11400, "3 h 10 min"), (47 * 3600, "47 h"),
        (900_000, "10 days"),
    ],
)  # fmt: skip
def test_times_are_said_as_people_do(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("megabytes", "said"), [(None, "not known"), (0, "0 MB"), (640.4, "640 MB"), (999.7, "1.0 GB"), (20756, "20.8 GB")]
)
def test_sizes_are_said_as_people_do(megabytes, said):
    assert size_of(megabytes) == said
