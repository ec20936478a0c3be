"""Conversations between a person and a surface: what all chat surfaces share."""
