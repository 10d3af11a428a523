"""supervisor-guards for Flask: a Flask extension.

Not built yet; the plain decorators of `supervisor_guards` work in any view.
"""
