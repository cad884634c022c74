"""Views of the documents: plans, drift, the inventory and the result of an apply, as text and as Markdown."""
