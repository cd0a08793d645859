"""What the tests share: bases made on the spot, a registry, a reader of images that knows nothing of ours."""
