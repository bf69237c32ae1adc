"""Controllers: they read stored objects, make the world so, and write status."""
