"""The demo: courses, people, questions, personas and site texts, and the code that loads them."""

from pathlib import Path

COURSES = Path(__file__).parent / "courses"  # a folder for each course
