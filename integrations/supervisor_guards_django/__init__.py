"""supervisor-guards for Django: a Django app configured in settings.

Not built yet; the plain decorators of `supervisor_guards` work in any view.
"""
