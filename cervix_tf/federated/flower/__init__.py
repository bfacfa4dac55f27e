"""The federation between institutions, by Flower: the same clients as in the simulator, on machines of their own."""
