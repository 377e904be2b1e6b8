"""Inputs of methods that are computed beside the log-prob pass; asked by the trainer, each computes where it wants."""
