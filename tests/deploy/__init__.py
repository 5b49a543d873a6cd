"""Tests of the Bentos, the manifests, the dashboards and their documentation."""
