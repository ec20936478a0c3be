"""The course assistant: answers learners' questions from the course's lessons."""
