"""Planning: a pure function of the desired and the observed state, and the documents that it returns."""
