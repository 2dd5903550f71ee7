"""What `langpose-rt doctor` looks at, one file per subject; each gives lines, none raises."""
