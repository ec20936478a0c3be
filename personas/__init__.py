"""Personas: how a learner prefers to learn, found from a short questionnaire."""
