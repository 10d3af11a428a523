"""The supervisor that is a service: what is said to it, over which connections, and what is done when it fails."""
