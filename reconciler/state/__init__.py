"""The state file's language: loading with line numbers, references, whole-file rules."""
