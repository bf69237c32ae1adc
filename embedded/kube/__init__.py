"""A small Kubernetes API server for custom resources: objects in SQLite, served over HTTP."""
