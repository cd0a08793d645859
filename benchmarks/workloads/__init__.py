"""What is measured: each module has the workloads of one kind."""
