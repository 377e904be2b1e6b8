"""What is read from a composed configuration, each in one place; imported in every process."""
