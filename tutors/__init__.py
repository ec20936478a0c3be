"""The tutors' copilot: answers about the course and its learners, and drafts that tutors decide about."""
