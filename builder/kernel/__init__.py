"""What the kernel does for us: syscalls, id maps, namespaces, mounts, the sandbox, the two doors."""
