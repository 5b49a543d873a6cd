"""Checks of the class activation maps: `wbc check-saliency`."""
