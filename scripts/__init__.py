"""Scripts for developers; the product does not use them."""
