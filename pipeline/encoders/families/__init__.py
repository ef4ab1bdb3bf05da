"""Families of models that the transformers library runs: where their files are, and what a model of each kind gives."""
