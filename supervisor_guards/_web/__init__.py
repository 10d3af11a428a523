"""What all web adapters share; `supervisor_guards.web` has the public names."""
