"""Many images at once: `wbc score`, on one machine or on a Ray cluster."""
