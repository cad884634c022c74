"""One room per kind of thing: how it compares with the host, the steps that close a gap, and its operations."""
