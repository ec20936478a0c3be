"""The states of a job: the only code that moves it from one to another, and what it notes about each move."""
