"""What people see: progress in its several forms, and errors turned into text."""
