"""``services.NAME``: running or stopped, now and at boot."""
