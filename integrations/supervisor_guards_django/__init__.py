"""supervisor-guards for Django: an app in `INSTALLED_APPS`, a middleware, and the dict `SUPERVISOR_GUARDS`."""
