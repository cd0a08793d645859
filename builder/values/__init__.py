"""What things are: frozen values with no effects. Nothing here touches disk, kernel or network."""
