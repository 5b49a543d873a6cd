"""Whether the class activation maps show what the model uses, measured: `wbc check-saliency`."""
