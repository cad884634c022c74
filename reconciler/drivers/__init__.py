"""What each NIC driver does, as data with its source, and the rules on it."""
