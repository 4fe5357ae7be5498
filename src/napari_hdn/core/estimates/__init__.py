"""What a job will take, found out before it begins."""
