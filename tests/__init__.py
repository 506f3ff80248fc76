"""unit, integration, conformance, fault; servers/ is what they start, bench/ measures."""
