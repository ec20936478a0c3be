"""The rqworker process: takes jobs, runs them on one event loop, and brings back what others lost."""
