"""What is shipped: Bentos, manifests, dashboards, and what is written about running them."""
