"""Personas: how a learner likes to learn, worked out from a short questionnaire."""
