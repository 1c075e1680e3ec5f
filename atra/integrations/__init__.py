"""How failures reach ATRA from other people's applications, without ever slowing or breaking them."""
