"""Images in and out: layouts, archives and registries. The network lives here and in the fetch of ADD."""
