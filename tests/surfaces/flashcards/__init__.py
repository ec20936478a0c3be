"""Flashcards: questions with short answers on a lesson, written by a model for one learner."""
