"""`wbc score`: many images, on one machine or on a Ray cluster."""
