"""Courses, lessons, enrolments and their searchable passages. No AI call happens here."""
