"""The supervisor as a service: one policy, one log and one review queue for many applications, over HTTP.

`supervisor-guards serve` starts it. It stands on the engine's store and policies; nothing in the engine imports it.
"""
