"""The project's settings with one view more: what the benchmark compares us with."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.lab.bench.blocking_urls"
