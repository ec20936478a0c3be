"""Set-up of the processes before they serve requests."""

import subprocess
import sys

import psutil

from config.startup import GC_THRESHOLD_OBJECTS, SWITCH_SECONDS
from tests.support import ROOT, Platform

LOADED = """
import manage, gc, sys
import config.asgi
print("assistant.api" in sys.modules, gc.get_freeze_count() > 100_000, gc.get_threshold()[0], sys.getswitchinterval())
"""


def test_web_server_preloads_its_views_and_tunes_the_garbage_collector():
    run = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True", str(GC_THRESHOLD_OBJECTS), str(SWITCH_SECONDS)]


def test_worker_runs_at_a_lower_cpu_priority(platform: Platform):
    with platform.worker(JOBS_NICE="7") as process:
        assert psutil.Process(process.pid).nice() == psutil.Process().nice() + 7
