"""What people are told about their jobs: typed events, published, kept, and shown once and in order."""
