"""The tutors' copilot: answers about the course and its learners, and drafts for tutors to review."""
