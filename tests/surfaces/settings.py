"""The platform with one surface more. These are all the changes outside the surface's own folder."""

import sys
from pathlib import Path

from config.settings import *  # noqa: F403
from config.settings import INSTALLED_APPS

sys.path.insert(0, str(Path(__file__).parent))  # a real surface stands at the top of the repository

INSTALLED_APPS = [*INSTALLED_APPS, "flashcards"]
ROOT_URLCONF = "tests.surfaces.urls"
