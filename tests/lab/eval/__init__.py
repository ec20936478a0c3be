"""`./dev eval`: measures the quality of retrieval, citations and refusals."""
