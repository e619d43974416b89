"""Planning for a refinery: which crude arrives when, and what the plant runs each day.

Volumes are kilobarrels, rates are kilobarrels a day, margins are dollars a barrel and
times are days counted from day 0, in every module of the package.
"""

from .records import InputError
from .scheduler import DEFAULT_DAYS, Schedule, build_schedule, run_scheduler
from .vessel_optimizer import DEFAULT_MAX_VESSELS, Fleet, build_fleet, run_optimizer

__all__ = [
    "DEFAULT_DAYS",
    "DEFAULT_MAX_VESSELS",
    "Fleet",
    "InputError",
    "Schedule",
    "build_fleet",
    "build_schedule",
    "run_optimizer",
    "run_scheduler",
]
