"""supervisor-guards for ASGI: Starlette, FastAPI and any ASGI application.

Not built yet; the plain decorators of `supervisor_guards` work in any view.
"""
