"""Proofs: nothing leaks, and online equals offline."""
