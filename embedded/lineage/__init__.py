"""The lineage server: Marquez's API over the embedded PostgreSQL, as far as we and the main pages of its UI use it."""
