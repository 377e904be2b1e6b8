"""A laboratory: the project's methods in one process, on a tiny policy, for questions that need many runs."""
