"""Conversations between a person and a surface: kept, continued, summarised. What every chatting surface shares."""
