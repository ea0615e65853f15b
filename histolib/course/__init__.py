"""Course room: the notebooks planned, run through papermill, watched and summed up."""

from .cost import COSTS, Cost, expected, read_costs, with_run
from .notebook import check_injected, code_hash, parameters_of
from .plan import Plan, duration, make_plan, size_of
from .running import NotebookFailed, add_parsers, collect_figures, notebook_files, plan_course, run_course
from .summary import SUMMARY, Summary, commit_of

__all__ = [
    "COSTS",
    "SUMMARY",
    "Cost",
    "NotebookFailed",
    "Plan",
    "Summary",
    "add_parsers",
    "check_injected",
    "code_hash",
    "collect_figures",
    "commit_of",
    "duration",
    "expected",
    "make_plan",
    "notebook_files",
    "parameters_of",
    "plan_course",
    "read_costs",
    "run_course",
    "size_of",
    "with_run",
]
