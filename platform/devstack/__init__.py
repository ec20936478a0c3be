"""Runs the project on a bare machine: embedded servers, an OpenAI simulator, demo data."""
