"""The supervisor's tables."""
