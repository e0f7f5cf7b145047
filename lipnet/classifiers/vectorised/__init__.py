"""Training of many networks in one compiled JAX program: their variables stacked, one step for all of them."""
